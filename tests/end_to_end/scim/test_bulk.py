"""Bulk requests over HTTP (RFC 7644 section 3.7)."""

from typing import Any
from uuid import uuid4

from tests.support.bulk_requests import REQUEST, bulk, created_id, post
from tests.support.scim import Client, Reply
from tests.support.scim_documents import ENTERPRISE, person

RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SPLIT = "Send them in several requests."
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def replace(path: str, name: str, value: object, **members: object) -> dict[str, Any]:
    operation = {"op": "replace", "path": name, "value": value}
    data = {"schemas": [PATCH_OP], "Operations": [operation]}
    return {"method": "PATCH", "path": path, "data": data, **members}


def group(bulk_id: str, *members: str) -> dict[str, Any]:
    values = [{"value": f"bulkId:{each}"} for each in members]
    data = {"schemas": [GROUP], "displayName": bulk_id, "members": values}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


def undone(bulk_id: str, culprit: str) -> dict[str, Any]:
    """The result of a creation that refers to one whose circle could not be closed."""
    detail = (
        f'This operation refers, directly or through others, to the bulkId "{culprit}", which '
        "is part of a circle of references that could not be closed. Neither operation had an "
        "effect; correct that operation and send both again."
    )
    response = {"schemas": [ERROR], "status": "409", "detail": detail}
    return {"method": "POST", "bulkId": bulk_id, "status": "409", "response": response}


def outcome(results: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(each["status"], each.get("response", {}).get("scimType")) for each in results]


async def read(scim: Client, result: dict[str, Any]) -> Any:
    return (await scim("GET", f"/Users/{created_id(result)}")).document


async def exists(scim: Client, user_name: str) -> bool:
    body = {"filter": f'userName eq "{user_name}"', "count": 0}
    return (await scim("POST", "/Users/.search", body)).document["totalResults"] == 1


async def groups(scim: Client) -> int:
    return (await scim("POST", "/Groups/.search", {"count": 0})).document["totalResults"]


async def test_every_kind_of_change_is_told_in_the_order_it_was_sent(scim: Client):
    old = [(await scim("POST", "/Users", person())).document for _ in range(3)]
    paths = [f"/Users/{each['id']}" for each in old]
    operations = [
        post("new"),
        {"method": "PUT", "path": paths[0], "data": person(title="Put")},
        replace(paths[1], "title", "Patched"),
        {"method": "DELETE", "path": paths[2], "bulkId": "mine"},
    ]

    results = await bulk(scim, *operations)

    versions = [(await scim("GET", path)).headers.get("ETag") for path in paths]
    new = await read(scim, results[0])
    assert results == [
        {
            "location": new["meta"]["location"],
            "method": "POST",
            "bulkId": "new",
            "version": new["meta"]["version"],
            "status": "201",
        },
        {
            "location": scim.url + paths[0],
            "method": "PUT",
            "version": versions[0],
            "status": "200",
        },
        {
            "location": scim.url + paths[1],
            "method": "PATCH",
            "version": versions[1],
            "status": "200",
        },
        {
            "location": scim.url + paths[2],
            "method": "DELETE",
            "bulkId": "mine",
            "status": "204",
        },
    ]
    titles = [(await scim("GET", path)).document.get("title") for path in paths[:2]]
    assert titles == ["Put", "Patched"]
    assert (await scim("GET", paths[2])).status == 404


async def test_references_lead_to_resources_created_before_or_after(scim: Client):
    results = await bulk(
        scim,
        post("worker", "bulkId:boss"),
        replace("/Users/bulkId:worker", "title", "bulkId:boss"),
        post("boss"),
        post("other", "bulkId:boss"),
    )

    assert outcome(results) == [("201", None), ("200", None), ("201", None), ("201", None)]
    boss = created_id(results[2])
    worker, other = await read(scim, results[0]), await read(scim, results[3])
    manager = {"value": boss, "$ref": f"{scim.url}/Users/{boss}"}
    assert [each[ENTERPRISE]["manager"] for each in (worker, other)] == [manager, manager]
    assert worker["title"] == boss
    assert results[1]["location"] == results[0]["location"]


async def test_two_who_are_each_others_manager_and_one_who_is_his_own_are_created(scim: Client):
    results = await bulk(
        scim,
        post("ann", "bulkId:bob"),
        post("bob", "bulkId:ann", title="Bob"),
        post("eve", "bulkId:eve"),
    )

    assert outcome(results) == [("201", None)] * 3
    people = [await read(scim, each) for each in results]
    managers = [each[ENTERPRISE]["manager"]["value"] for each in people]
    ann, bob, eve = (each["id"] for each in people)
    assert managers == [bob, ann, eve]
    assert [each["version"] for each in results] == [each["meta"]["version"] for each in people]
    assert people[1]["title"] == "Bob"


async def test_a_circle_that_cannot_be_closed_is_a_conflict_and_leaves_nothing(scim: Client):
    ann, bob = post("ann", "bulkId:bob"), post("bob", "bulkId:ann")
    bob["data"][ENTERPRISE]["employeeNumber"] = 7  # refused when the circle is closed

    results = await bulk(scim, ann, bob)

    assert outcome(results) == [("409", None)] * 2
    assert "employeeNumber" in results[1]["response"]["detail"]
    assert "location" not in results[1]
    assert results[0] == undone("ann", "bob")
    assert not await exists(scim, bob["data"]["userName"])
    assert not await exists(scim, ann["data"]["userName"])


async def test_groups_that_may_not_be_each_others_members_are_both_refused(scim: Client):
    before = await groups(scim)

    results = await bulk(scim, group("a", "b"), group("b", "a"))

    assert outcome(results) == [("409", None)] * 2
    assert results[0] == undone("a", "b")
    assert await groups(scim) == before


async def test_whatever_refers_to_a_circle_that_stays_open_is_not_there_either(scim: Client):
    existing = (await scim("POST", "/Users", person(title="Old"))).document
    bad = post("bad", "bulkId:mid")
    bad["data"][ENTERPRISE]["employeeNumber"] = 7
    people = [
        post("first", "bulkId:mid"),
        post("mid", "bulkId:bad", title="bulkId:first"),
        bad,
        post("outer", "bulkId:first"),
        post("outermost", "bulkId:outer"),
        post("stranger"),
    ]
    path = f"/Users/{existing['id']}"

    results = await bulk(scim, *people, replace(path, "title", "bulkId:outermost"))

    assert results[:2] == [undone("first", "bad"), undone("mid", "bad")]
    assert results[3:5] == [undone("outer", "bad"), undone("outermost", "bad")]
    assert outcome(results[2:3] + results[5:]) == [("409", None), ("201", None), ("409", None)]
    assert "employeeNumber" in results[2]["response"]["detail"]
    there = [await exists(scim, each["data"]["userName"]) for each in people]
    assert there == [False, False, False, False, False, True]
    assert (await scim("GET", path)).document == existing


async def test_one_of_a_circle_that_fails_by_itself_keeps_its_error_and_takes_all_along(
    scim: Client,
):
    people = [
        post("first", "bulkId:second", title=7),
        post("second", "bulkId:third"),
        post("third", "bulkId:first"),
    ]
    results = await bulk(scim, *people)
    assert outcome(results) == [("400", "invalidValue"), ("409", None), ("409", None)]
    assert results[1] == undone("second", "third")
    assert [await exists(scim, each["data"]["userName"]) for each in people] == [False] * 3


async def test_what_refers_to_something_that_failed_or_was_never_sent_fails(scim: Client):
    taken = (await scim("POST", "/Users", person())).document["userName"]
    results = await bulk(
        scim,
        post("a", userName=taken),
        post("b", "bulkId:a"),
        post("c", "bulkId:nobody"),
        {"method": "DELETE", "path": "/Users/bulkId:a"},
        post("d"),
        post("d"),
        post("e"),
    )
    invalid = ("400", "invalidValue")
    assert outcome(results) == [
        ("409", "uniqueness"),
        invalid,
        invalid,
        invalid,
        invalid,
        invalid,
        ("201", None),
    ]
    assert results[2] == {
        "method": "POST",
        "bulkId": "c",
        "status": "400",
        "response": {
            "schemas": [ERROR],
            "status": "400",
            "scimType": "invalidValue",
            "detail": 'The operation refers to the bulkId "nobody", but no POST of this bulk '
            "request has it. Add that POST, or send the id of an existing resource.",
        },
    }


async def test_after_as_many_failures_as_the_client_allows_nothing_more_is_done(scim: Client):
    bad = {"method": "DELETE", "path": f"/Users/{uuid4()}"}
    first, last = post("first"), post("last")

    results = await bulk(scim, bad, first, bad, last, failOnErrors=2)

    assert outcome(results) == [("404", None), ("201", None), ("404", None)]
    assert not await exists(scim, last["data"]["userName"])
    assert results[0]["location"] == scim.url + bad["path"]


async def test_without_a_limit_failures_stop_nobody(scim: Client):
    bad = {"method": "DELETE", "path": f"/Users/{uuid4()}"}
    results = await bulk(scim, bad, bad, bad, post("last"))
    assert outcome(results) == [*[("404", None)] * 3, ("201", None)]


async def test_what_a_limit_keeps_from_being_completed_is_taken_back(scim: Client):
    ann, bob = post("ann", "bulkId:bob"), post("bob", "bulkId:ann")
    ann["data"]["title"] = 7
    results = await bulk(scim, ann, bob, failOnErrors=1)
    assert outcome(results) == [("400", "invalidValue")]
    assert not await exists(scim, bob["data"]["userName"])


async def test_what_refers_to_something_a_limit_took_back_is_taken_back_too(scim: Client):
    people = [
        post("first", "bulkId:second", title=7),
        post("second", "bulkId:third"),
        post("third", "bulkId:first"),
    ]
    results = await bulk(scim, *people, failOnErrors=1)
    assert outcome(results) == [("400", "invalidValue")]
    assert [await exists(scim, each["data"]["userName"]) for each in people] == [False] * 3


async def test_a_version_makes_an_operation_conditional(scim: Client):
    user = (await scim("POST", "/Users", person())).document
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    results = await bulk(
        scim,
        replace(path, "title", "One", version=version),
        replace(path, "title", "Two", version=version),
        {"method": "DELETE", "path": path, "version": version},
    )
    assert outcome(results) == [("200", None), ("412", None), ("412", None)]
    assert (await scim("GET", path)).document["title"] == "One"


async def test_only_changes_of_resources_can_be_operations(scim: Client):
    data = {"schemas": [REQUEST], "Operations": []}
    results = await bulk(
        scim,
        {"method": "POST", "path": "/Bulk", "bulkId": "a", "data": data},
        {"method": "POST", "path": "/Users/.search", "bulkId": "b", "data": {}},
        {"method": "POST", "path": "/Schemas", "bulkId": "c", "data": {}},
        {"method": "GET", "path": "/Users"},
        {"method": "DELETE", "path": "/Users"},
    )
    assert outcome(results) == [
        ("400", "invalidValue"),
        ("405", None),
        ("404", None),
        ("400", "invalidValue"),
        ("405", None),
    ]


async def test_a_request_that_is_too_large_is_refused_as_a_whole_and_says_by_what(scim: Client):
    def refusal(reply: Reply) -> tuple[int, str]:
        return reply.status, reply.document["detail"]

    many = await scim("POST", "/Bulk", {"schemas": [REQUEST], "Operations": [{}] * 1001})
    long = await scim("POST", "/Bulk", b" " * (1024 * 1024 + 1))
    assert refusal(many) == (
        413,
        f"The bulk request has 1001 operations; maxOperations is 1000. {SPLIT}",
    )
    assert refusal(long) == (
        413,
        "The body is larger than 1048576 bytes. Send the change in smaller parts.",
    )


async def test_a_thousand_people_come_with_one_request(scim: Client):
    results = await bulk(
        scim, *[post(str(each), f"bulkId:{each + 1}") for each in range(999)], post("999")
    )
    assert outcome(results) == [("201", None)] * 1000
    first = await read(scim, results[0])
    assert first[ENTERPRISE]["manager"]["value"] == created_id(results[1])


async def test_an_organizations_bulk_request_reaches_nobody_elses_people(scim: Client, operate):
    user = (await scim("POST", "/Users", person())).document
    token = (await operate.key(await operate.organization())).token
    reply = await scim(
        "POST",
        "/Bulk",
        {"Operations": [{"method": "DELETE", "path": f"/Users/{user['id']}"}]},
        Authorization=f"Bearer {token}",
    )
    assert outcome(reply.document["Operations"]) == [("404", None)]
    assert (await scim("GET", f"/Users/{user['id']}")).status == 200


async def test_the_configuration_says_what_a_bulk_request_may_hold(scim: Client):
    reply = await scim("GET", "/ServiceProviderConfig")
    assert reply.document["bulk"] == {
        "supported": True,
        "maxOperations": 1000,
        "maxPayloadSize": 1048576,
    }
    assert (await scim("GET", "/Bulk")).headers["Allow"] == "POST"
