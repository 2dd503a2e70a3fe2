from gateway.scim import responses
from gateway.scim.errors import ScimError, describe


def test_a_list_says_how_many_there_are_and_how_many_it_holds():
    assert responses.list_response([{"id": "1"}, {"id": "2"}], 7, 3) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 7,
        "startIndex": 3,
        "itemsPerPage": 2,
        "Resources": [{"id": "1"}, {"id": "2"}],
    }


def test_a_list_by_cursor_names_the_next_cursor_instead_of_an_index():
    assert responses.list_head(0, 7, None, next_cursor="n") == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 7,
        "itemsPerPage": 0,
        "nextCursor": "n",
    }


def test_a_list_that_nobody_counted_does_not_say_how_many_there_are():
    assert responses.list_response([{"id": "1"}], None, None) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "itemsPerPage": 1,
        "Resources": [{"id": "1"}],
    }


def test_the_status_of_an_error_is_a_string():
    assert responses.error_body(ScimError(409, "uniqueness", "taken")) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "409",
        "scimType": "uniqueness",
        "detail": "taken",
    }


def test_an_error_without_scim_type_leaves_it_out():
    assert responses.dumps(responses.error_body(ScimError(404, None, "gone"))) == (
        b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],'
        b'"status":"404","detail":"gone"}'
    )


def test_outside_values_are_shown_on_one_line_and_shortened():
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
