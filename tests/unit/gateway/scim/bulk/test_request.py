"""Bulk requests: parsing, references, the order of execution, and the response."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.scim.bulk import references as bulk_references
from gateway.scim.bulk import request as bulk
from gateway.scim.bulk.plan import Complete, Referrers, Run, plan
from gateway.scim.bulk.request import BulkRequest, Operation
from gateway.scim.bulk.response import Result, bulk_response
from gateway.scim.errors import ScimError, invalid_value
from gateway.scim.responses import dumps
from tests.support.growth import FACTOR, LIMIT, ratio
from tests.support.scim_errors import assert_client_error, refused

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def message(*operations: object, **members: object) -> dict[str, Any]:
    return {"schemas": [BULK_REQUEST], "Operations": list(operations), **members}


def post(bulk_id: object, *references: str, **data: object) -> dict[str, Any]:
    members = [{"value": f"bulkId:{each}"} for each in references]
    return {
        "method": "POST",
        "path": "/Groups",
        "bulkId": bulk_id,
        "data": {"displayName": "G", **({"members": members} if members else {}), **data},
    }


def planned_steps(*documents: object):
    return plan(bulk.parse(message(*documents)).operations)


def refusals(*documents: object) -> list[tuple[int, str | None] | None]:
    parsed = [each.refusal for each in bulk.parse(message(*documents)).operations]
    return [each and (each.status, each.scim_type) for each in parsed]


def test_operation_is_parsed_with_references_and_names_in_any_case():
    document = {
        "METHOD": "post",
        "Path": "/Users",
        "BULKID": "a",
        "version": 'W/"1"',
        "Data": {"userName": "ann", "manager": {"value": "bulkId:b"}},
    }
    assert bulk.parse({"operations": [document, post("b")], "FAILONERRORS": 2}) == BulkRequest(
        (
            Operation(
                "POST",
                "/Users",
                "a",
                'W/"1"',
                {"userName": "ann", "manager": {"value": "bulkId:b"}},
                frozenset({"b"}),
            ),
            Operation("POST", "/Groups", "b", None, {"displayName": "G"}),
        ),
        2,
    )


def test_malformed_bulk_request_is_refused_as_a_whole():
    with refused(400, "invalidSyntax", "Operations"):
        bulk.parse({"schemas": [BULK_REQUEST]})
    with refused(400, "invalidSyntax", "twice"):
        bulk.parse({"Operations": [], "operations": []})
    for limit in (0, -1, True, "1", 1.5):
        with refused(400, "invalidValue", "failOnErrors"):
            bulk.parse(message(failOnErrors=limit))


def test_bulk_request_with_more_than_1000_operations_gets_413():
    assert len(bulk.parse(message(*[{}] * 1000)).operations) == 1000
    with refused(413, None, "1001", "maxOperations is 1000"):
        bulk.parse(message(*[{}] * 1001))


def test_invalid_operation_is_refused_without_the_others():
    good = post("g")
    bad = [
        {**good, "bulkId": None},
        {**good, "bulkId": 7},
        {**good, "method": "GET"},
        {**good, "path": "Groups"},
        {**good, "path": "/"},
        {**good, "path": "//bulk/"},
        {"method": "PUT", "path": "/Users/1"},
        {"method": "PATCH", "path": "/Users/1", "data": []},
        "POST",
    ]
    value, syntax = (400, "invalidValue"), (400, "invalidSyntax")
    assert refusals(*bad, post("other")) == [*[value] * 6, *[syntax] * 3, None]


def test_posts_with_the_same_bulk_id_are_refused():
    assert refusals(post("a"), post("a"), post("b")) == [(400, "invalidValue")] * 2 + [None]


def test_bulk_id_of_a_delete_cannot_be_referred_to():
    change = {"method": "DELETE", "path": "/Users/1", "bulkId": "a"}
    assert refusals(change, post("a"), change) == [None, None, None]
    assert refusals(change, post("b", "a")) == [None, (400, "invalidValue")]


def test_reference_without_a_matching_post_is_refused():
    assert (
        refusals(post("a", "missing"), {"method": "DELETE", "path": "/Users/bulkId:x"})
        == [(400, "invalidValue")] * 2
    )


def test_references_anywhere_in_data_are_found_and_replaced():
    data = {
        "manager": "bulkId:a",
        "members": [{"value": "bulkId:b c/d", "$ref": "../Users/bulkId:a"}, {"value": "u1"}],
        "Operations": [{"op": "remove", "path": 'members[value eq "bulkId:e"]'}],
        "displayName": "see bulkId:no, /bulkId:no, bulkid:no",
        "count": 1,
        "title": "bulkId:",
    }
    assert bulk_references.in_data(data) == {"a", "b c/d", "e"}
    assert bulk_references.resolve(data, {"a": "1", "b c/d": "2", "e": "3"}) == {
        **data,
        "manager": "1",
        "members": [{"value": "2", "$ref": "../Users/1"}, {"value": "u1"}],
        "Operations": [{"op": "remove", "path": 'members[value eq "3"]'}],
    }


def test_reference_in_a_path_is_found_and_replaced():
    assert list(bulk_references.in_path("/Users/bulkId:a")) == ["a"]
    assert list(bulk_references.in_path("/Users/1")) == []
    assert bulk_references.resolve_path("/Users/bulkId:a/", {"a": "1"}) == "/Users/1/"
    assert bulk_references.resolve_path("/Users/2", {"a": "1"}) == "/Users/2"


def test_post_runs_before_the_operations_that_refer_to_it():
    delete = {"method": "DELETE", "path": "/Users/1"}
    change = {"method": "PATCH", "path": "/Users/1", "data": {"x": "bulkId:b"}}
    assert planned_steps(post("a", "b"), change, delete, post("b", "c"), post("c")) == (
        Run(4),
        Run(3),
        Run(0),
        Run(1),
        Run(2),
    )


def test_longest_chain_of_references_does_not_exhaust_the_stack():
    chain = [post(str(each), str(each + 1)) for each in range(999)]
    assert planned_steps(*chain, post("999")) == tuple(Run(each) for each in reversed(range(1000)))


def test_cycle_of_two_posts_completes_one_after_both_have_run():
    first = post("a", manager="bulkId:b", displayName="A")
    second = post("b", "a")
    assert planned_steps(first, second) == (
        Run(1, frozenset({"members"})),
        Run(0),
        Complete(1, frozenset({"members"})),
    )


def test_post_that_refers_to_itself_is_completed_immediately():
    assert planned_steps(post("a", "a"), post("b")) == (
        Run(0, frozenset({"members"})),
        Complete(0, frozenset({"members"})),
        Run(1),
    )


def test_closure_follows_indirect_referrers_but_not_past_known_ones():
    change = {"method": "PATCH", "path": "/Groups/bulkId:c", "data": {}}
    documents = [post("a", "b"), post("b", "a"), post("c", "a"), change, post("d")]
    referrers = Referrers(bulk.parse(message(*documents)).operations)
    assert referrers.closure([1], ()) == {0, 1, 2, 3}
    assert referrers.closure([1], {2}) == {0, 1}
    assert referrers.closure([3, 4], ()) == {3, 4}
    assert referrers.closure([], ()) == set()


def test_bulk_response_lists_results_as_rfc_7644_requires():
    created = Operation("POST", "/Users", "a", data={})
    removed = Operation("DELETE", "/Users/2")
    results = [
        Result(created, 201, "https://x/Users/1", 'W/"1"'),
        Result(removed, 404, "https://x/Users/2", error=ScimError(404, None, "gone")),
    ]
    assert bulk_response(results) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
        "Operations": [
            {
                "location": "https://x/Users/1",
                "method": "POST",
                "bulkId": "a",
                "version": 'W/"1"',
                "status": "201",
            },
            {
                "location": "https://x/Users/2",
                "method": "DELETE",
                "status": "404",
                "response": {
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
                    "status": "404",
                    "detail": "gone",
                },
            },
        ],
    }


TEXTS = st.text(max_size=6) | st.sampled_from(["bulkId:a", "bulkId:b", "/x/bulkId:a", '"bulkId:b"'])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "get"]) | JSON,
        "path": st.sampled_from(["/Users", "/Users/1", "/Users/bulkId:a", "/Bulk"]) | JSON,
        "bulkId": st.sampled_from(["a", "b", "c"]) | JSON,
        "version": JSON,
        "data": st.dictionaries(TEXTS, JSON, max_size=4) | JSON,
    },
)


@given(JSON | st.lists(OPERATIONS | JSON, max_size=6), JSON)
def test_any_body_is_refused_or_planned_with_one_run_per_operation(operations, limit):
    try:
        request = bulk.parse({"Operations": operations, "failOnErrors": limit})
    except ScimError as refusal:
        assert_client_error(refusal)
        return
    steps = plan(request.operations)
    runs = [step.index for step in steps if isinstance(step, Run)]
    assert sorted(runs) == list(range(len(request.operations)))
    incomplete = {step.index for step in steps if isinstance(step, Run) and step.without}
    assert {step.index for step in steps if isinstance(step, Complete)} >= incomplete
    for each in request.operations:
        ids = dict.fromkeys(each.references, "1")
        unresolved = bulk_references.in_data(bulk_references.resolve(each.data or {}, ids))
        assert unresolved == set()
        dumps(bulk_response([Result(each, 400, error=each.refusal or invalid_value(""))]))


@given(st.lists(st.sets(st.sampled_from("abcdefg"), max_size=3), min_size=7, max_size=7))
def test_resource_exists_before_the_steps_that_refer_to_it(references):
    documents = [
        post(name, *sorted(names)) for name, names in zip("abcdefg", references, strict=True)
    ]
    operations = bulk.parse(message(*documents)).operations
    created: set[str] = set()
    for step in plan(operations):
        operation = operations[step.index]
        data = operation.data or {}
        if isinstance(step, Run):
            data = {key: value for key, value in data.items() if key not in step.without}
            assert operation.creates is not None
            assert bulk_references.in_data(data) <= created
            created.add(operation.creates)
        else:
            assert bulk_references.in_data(data) <= created
    assert created == set("abcdefg")


@given(st.lists(st.sets(st.sampled_from("abcde"), max_size=3), min_size=8, max_size=8))
def test_only_posts_have_run_of_those_that_refer_to_an_open_cycle(references):
    changes = [
        {"method": "PATCH", "path": f"/Groups/{index}", "data": post("", *sorted(names))["data"]}
        for index, names in enumerate(references[5:])
    ]
    creations = [
        post(name, *sorted(names)) for name, names in zip("abcde", references[:5], strict=True)
    ]
    operations = bulk.parse(message(*changes, *creations)).operations
    referrers = Referrers(operations)
    executed: set[int] = set()
    incomplete: set[int] = set()
    for step in plan(operations):
        if isinstance(step, Run):
            executed.add(step.index)
            incomplete |= {step.index} if step.without else set()
        referring = referrers.closure(incomplete, ()) & executed
        assert [operations[each].method for each in referring] == ["POST"] * len(referring)
        if isinstance(step, Complete):
            incomplete.discard(step.index)
    assert incomplete == set()


def cycles_through_one_post(number: int) -> list[Operation]:
    """A POST that refers to all others, each of which refers back to it."""
    names = frozenset(f"b{index}" for index in range(1, number))
    first = Operation("POST", "/Groups", "b0", None, {"a": [f"bulkId:{n}" for n in names]}, names)
    back = frozenset(["b0"])
    return [first] + [
        Operation("POST", "/Groups", name, None, {"a": "bulkId:b0"}, back) for name in sorted(names)
    ]


def test_planning_of_cycles_takes_linear_time():
    small, large = cycles_through_one_post(600), cycles_through_one_post(600 * FACTOR)
    assert len([each for each in plan(small) if isinstance(each, Complete)]) == 599
    assert ratio(plan, small, large) < LIMIT
