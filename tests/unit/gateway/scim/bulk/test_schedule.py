"""Which operations of a bulk request may run at the same time."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.scim.bulk.plan import Run, plan
from gateway.scim.bulk.request import BulkRequest, Operation, parse
from gateway.scim.bulk.schedule import Schedule, schedule
from gateway.scim.responses import dumps
from tests.support.growth import LIMIT, ratio
from tests.support.organization_model import OrganizationModel, Outcome
from tests.support.random_bulk_requests import Document, group, operations, patch, user

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"


def scheduled(*documents: Document, **members: object) -> tuple[BulkRequest, Schedule]:
    """The request with its operations in the order of the plan, and their schedule."""
    request = parse({"Operations": list(documents), **members})
    steps = plan(request.operations)
    bodies = [dumps(each.data) for each in request.operations]
    ordered = tuple(request.operations[each.index] for each in steps)
    return BulkRequest(ordered, request.fail_on_errors), schedule(request, steps, bodies)


def turns(*documents: Document, **members: object) -> list[list[int]]:
    """The steps that run at the same time if all steps take equally long."""
    _, remaining = scheduled(*documents, **members)
    found = []
    while remaining.has_ready:
        found.append(started(remaining))
        for step in found[-1]:
            remaining.finish(step)
    return found


def started(remaining: Schedule) -> list[int]:
    steps = []
    while remaining.has_ready:
        steps.append(remaining.start())
    return steps


def post(bulk_id: str, data: Document, path: str = "/Users") -> Document:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def put(path: str, data: Document) -> Document:
    return {"method": "PUT", "path": path, "data": data}


def delete(path: str) -> Document:
    return {"method": "DELETE", "path": path}


def title(path: str) -> Document:
    return patch(path, "replace", "title", "Chief")


def test_creations_and_changes_of_different_users_run_at_the_same_time():
    assert turns(post("a", user("ann")), post("b", user("bob")), title("/Users/1")) == [[0, 1, 2]]


def test_operations_on_the_same_resource_run_in_order():
    documents = [title("/Users/ab"), title("/Users/AB/"), delete("/Users/ab"), title("/Users/cd")]
    assert turns(*documents) == [[0, 3], [1], [2]]


def test_creations_with_the_same_user_name_in_any_case_run_in_order():
    spellings: list[dict[str, Any]] = [
        {"USERNAME": "ANN"},
        {f"{CORE}:userName": "aNN"},
        {CORE: {"userName": "anN"}},
    ]
    first = post("a", user("ann"))
    for spelling in spellings:
        assert turns(first, post("b", spelling), post("c", user("cid"))) == [[0, 2], [1]]


def test_user_whose_name_is_unclear_is_created_alone():
    for name in ({}, {"userName": 7}, {"userName": None}, {"userName": "bulkId:a"}):
        documents = [post("a", user("ann")), post("b", name), post("c", user("cid"))]
        assert turns(*documents) == [[0], [1], [2]]


def test_name_that_a_change_may_free_is_claimed_in_order():
    for change in (
        delete("/Users/1"),
        put("/Users/1", user("bob")),
        patch("/Users/1", "replace", "USERNAME", "bob"),
        patch("/Users/1", "add", None, {f"{CORE}:userName": "bob"}),
    ):
        assert turns(post("a", user("ann")), change, post("c", user("ann"))) == [[0], [1], [2]]


def test_deletions_of_users_run_at_the_same_time():
    assert turns(*[delete(f"/Users/{each}") for each in range(3)]) == [[0, 1, 2]]


def test_references_run_after_the_creation_of_their_resource():
    documents = [
        post("g", group("Staff", ["bulkId:a"]), "/Groups"),
        title("/Users/bulkId:a"),
        post("a", user("ann")),
        title("/Users/bulkId:a"),
        post("b", user("bob")),
    ]
    # The plan creates a first: the steps are a, the group, the two changes, b.
    assert turns(*documents) == [[0, 4], [1, 2], [3]]


def test_changes_of_groups_run_in_order_beside_changes_of_users():
    add = [patch(f"/Groups/{g}", "add", "members", [{"value": "1"}]) for g in "ab"]
    assert turns(add[0], title("/Users/1"), add[1]) == [[0, 1], [2]]


def test_new_groups_are_created_at_the_same_time():
    documents = [post(name, group(name, ["1"]), "/Groups") for name in "ab"]
    assert turns(*documents) == [[0, 1]]


def test_groups_change_before_or_after_users_are_deleted():
    change = patch("/Groups/a", "replace", "displayName", "One")
    create = post("g", group("Staff", ["1"]), "/Groups")
    for document in (change, create):
        assert turns(delete("/Users/1"), document, delete("/Users/2")) == [[0], [1], [2]]


def test_group_patch_that_reads_names_runs_alone_with_changes_of_users():
    by_name = patch("/Groups/a", "remove", 'members[not (Display eq "Ann")]')
    assert turns(title("/Users/1"), by_name, title("/Users/2")) == [[0], [1], [2]]


def test_unknown_paths_run_alone():
    for path in ("/Nothing", "/Users//1", "/Users/%31", "/Users/1/2", "/users/1"):
        assert turns(title("/Users/2"), title(path), title("/Users/3")) == [[0], [1], [2]]


def test_all_operations_run_in_order_if_failures_are_counted():
    assert turns(title("/Users/1"), title("/Users/2"), failOnErrors=9) == [[0], [1]]


def test_all_operations_run_in_order_if_references_form_a_cycle():
    people = [post("a", user("ann", nickName="bulkId:b")), post("b", user("bob"))]
    assert turns(*people, title("/Users/1")) == [[0, 2], [1]]
    people[1]["data"]["nickName"] = "bulkId:a"
    assert turns(*people, title("/Users/1")) == [[0], [1], [2], [3]]


@settings(max_examples=500)
@given(operations(most=10), st.data())
def test_any_permitted_order_has_the_results_of_the_sent_order(
    documents: list[Document], data: st.DataObject
):
    request, remaining = scheduled(*documents)
    sequential = OrganizationModel.with_resources()
    expected = {n: sequential.execute(each) for n, each in enumerate(request.operations)}

    concurrent = OrganizationModel.with_resources()
    outcomes: dict[int, Outcome] = {}
    running = started(remaining)
    while running:
        step = running.pop(data.draw(st.integers(0, len(running) - 1)))
        outcomes[step] = concurrent.execute(request.operations[step])
        remaining.finish(step)
        running += started(remaining)

    assert outcomes == expected
    assert concurrent == sequential


def creations_and_deletions(number: int) -> BulkRequest:
    """As many creations of users as deletions, which must come after all of them."""
    return BulkRequest(
        (
            *[Operation("POST", "/Users", f"b{n}", None, user(f"u{n}")) for n in range(number)],
            *[Operation("DELETE", f"/Users/{n}") for n in range(number)],
        )
    )


def run_all(request: BulkRequest) -> None:
    steps = [Run(index) for index in range(len(request.operations))]
    remaining = schedule(request, steps, [b""] * len(steps))
    while remaining.has_ready:
        for step in started(remaining):
            remaining.finish(step)


def test_scheduling_grows_no_faster_than_the_operations():
    assert ratio(run_all, creations_and_deletions(500), creations_and_deletions(2_000)) < LIMIT
