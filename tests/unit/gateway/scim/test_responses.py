"""List responses, error bodies, and descriptions of values that clients sent."""

from gateway.scim import responses
from gateway.scim.errors import ScimError, describe


def test_list_response_has_the_total_and_the_page_size():
    assert responses.list_response([{"id": "1"}, {"id": "2"}], 7, 3) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 7,
        "startIndex": 3,
        "itemsPerPage": 2,
        "Resources": [{"id": "1"}, {"id": "2"}],
    }


def test_list_response_with_a_cursor_has_no_start_index():
    assert responses.list_head(0, 7, None, next_cursor="n") == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 7,
        "itemsPerPage": 0,
        "nextCursor": "n",
    }


def test_list_response_without_a_count_has_no_total_results():
    assert responses.list_response([{"id": "1"}], None, None) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "itemsPerPage": 1,
        "Resources": [{"id": "1"}],
    }


def test_error_body_has_its_status_as_a_string():
    assert responses.error_body(ScimError(409, "uniqueness", "taken")) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "409",
        "scimType": "uniqueness",
        "detail": "taken",
    }


def test_error_body_omits_a_missing_scim_type():
    assert responses.dumps(responses.error_body(ScimError(404, None, "gone"))) == (
        b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],'
        b'"status":"404","detail":"gone"}'
    )


def test_described_value_is_short_and_on_one_line():
    values = ["x" * 100, "a\nb", True, None, 12, 1.5, {"a": 1}, [1], 10**100]
    assert [describe(each) for each in values] == [
        f'"{"x" * 80}…"',
        '"a�b"',
        "true",
        "null",
        "12",
        "1.5",
        "an object",
        "an array",
        "1" + "0" * 79 + "…",
    ]
