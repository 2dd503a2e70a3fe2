"""Bulk requests over HTTP (RFC 7644 section 3.7)."""

from typing import Any
from uuid import uuid4

from tests.support.bulk_requests import REQUEST, bulk, created_id, post
from tests.support.scim import Client, Reply
from tests.support.scim_documents import ENTERPRISE, ERROR, GROUP, patch, person


def replace(path: str, name: str, value: object, **members: object) -> dict[str, Any]:
    """An operation that replaces one attribute by PATCH."""
    return {"method": "PATCH", "path": path, "data": patch("replace", name, value), **members}


def post_group(bulk_id: str, *members: str) -> dict[str, Any]:
    """An operation that creates a group whose members have these bulkIds."""
    values = [{"value": f"bulkId:{each}"} for each in members]
    data = {"schemas": [GROUP], "displayName": bulk_id, "members": values}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


def rolled_back(bulk_id: str, failed: str) -> dict[str, Any]:
    """The result of a POST rolled back because `failed`, a POST of a circular reference, failed."""
    detail = (
        f'This operation refers, directly or through others, to the bulkId "{failed}", which is '
        "part of a circular reference that could not be resolved. Neither operation had an "
        "effect; correct that operation and send both again."
    )
    response = {"schemas": [ERROR], "status": "409", "detail": detail}
    return {"method": "POST", "bulkId": bulk_id, "status": "409", "response": response}


def outcomes(results: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    """The status and the scimType of each result."""
    return [(each["status"], each.get("response", {}).get("scimType")) for each in results]


async def read_user(scim: Client, result: dict[str, Any]) -> Any:
    return (await scim("GET", f"/Users/{created_id(result)}")).document


async def exists(scim: Client, user_name: str) -> bool:
    body = {"filter": f'userName eq "{user_name}"', "count": 0}
    return (await scim("POST", "/Users/.search", body)).document["totalResults"] == 1


async def number_of_groups(scim: Client) -> int:
    return (await scim("POST", "/Groups/.search", {"count": 0})).document["totalResults"]


async def test_results_of_all_methods_are_in_order_of_operations(scim: Client):
    users = [(await scim("POST", "/Users", person())).document for _ in range(3)]
    paths = [f"/Users/{user['id']}" for user in users]
    operations = [
        post("new"),
        {"method": "PUT", "path": paths[0], "data": person(title="Put")},
        replace(paths[1], "title", "Patched"),
        {"method": "DELETE", "path": paths[2], "bulkId": "mine"},
    ]

    results = await bulk(scim, *operations)

    versions = [(await scim("GET", path)).headers.get("ETag") for path in paths]
    new = await read_user(scim, results[0])
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


async def test_bulk_ids_refer_to_earlier_and_later_operations(scim: Client):
    results = await bulk(
        scim,
        post("worker", "bulkId:boss"),
        replace("/Users/bulkId:worker", "title", "bulkId:boss"),
        post("boss"),
        post("other", "bulkId:boss"),
    )

    assert outcomes(results) == [("201", None), ("200", None), ("201", None), ("201", None)]
    boss = created_id(results[2])
    worker, other = await read_user(scim, results[0]), await read_user(scim, results[3])
    manager = {"value": boss, "$ref": f"{scim.url}/Users/{boss}"}
    assert [each[ENTERPRISE]["manager"] for each in (worker, other)] == [manager, manager]
    assert worker["title"] == boss
    assert results[1]["location"] == results[0]["location"]


async def test_circular_and_self_references_of_managers_are_resolved(scim: Client):
    results = await bulk(
        scim,
        post("ann", "bulkId:bob"),
        post("bob", "bulkId:ann", title="Bob"),
        post("eve", "bulkId:eve"),
    )

    assert outcomes(results) == [("201", None)] * 3
    people = [await read_user(scim, each) for each in results]
    managers = [each[ENTERPRISE]["manager"]["value"] for each in people]
    ann, bob, eve = (each["id"] for each in people)
    assert managers == [bob, ann, eve]
    assert [each["version"] for each in results] == [each["meta"]["version"] for each in people]
    assert people[1]["title"] == "Bob"


async def test_circular_reference_that_fails_is_409_and_creates_nothing(scim: Client):
    ann, bob = post("ann", "bulkId:bob"), post("bob", "bulkId:ann")
    bob["data"][ENTERPRISE]["organization"] = 7  # refused when the cycle is resolved

    results = await bulk(scim, ann, bob)

    assert outcomes(results) == [("409", None)] * 2
    assert "organization" in results[1]["response"]["detail"]
    assert "location" not in results[1]
    assert results[0] == rolled_back("ann", "bob")
    assert not await exists(scim, bob["data"]["userName"])
    assert not await exists(scim, ann["data"]["userName"])


async def test_groups_that_are_members_of_each_other_are_refused(scim: Client):
    before = await number_of_groups(scim)

    results = await bulk(scim, post_group("a", "b"), post_group("b", "a"))

    assert outcomes(results) == [("409", None)] * 2
    assert results[0] == rolled_back("a", "b")
    assert await number_of_groups(scim) == before


async def test_operations_that_refer_to_a_failed_cycle_are_rolled_back(scim: Client):
    existing = (await scim("POST", "/Users", person(title="Old"))).document
    bad = post("bad", "bulkId:mid")
    bad["data"][ENTERPRISE]["organization"] = 7  # refused when the cycle is resolved
    people = [
        post("first", "bulkId:mid"),
        post("mid", "bulkId:bad", title="bulkId:first"),
        bad,
        post("outer", "bulkId:first"),
        post("outermost", "bulkId:outer"),
        post("independent"),
    ]
    path = f"/Users/{existing['id']}"

    results = await bulk(scim, *people, replace(path, "title", "bulkId:outermost"))

    assert results[:2] == [rolled_back("first", "bad"), rolled_back("mid", "bad")]
    assert results[3:5] == [rolled_back("outer", "bad"), rolled_back("outermost", "bad")]
    assert outcomes(results[2:3] + results[5:]) == [("409", None), ("201", None), ("409", None)]
    assert "organization" in results[2]["response"]["detail"]
    exist = [await exists(scim, each["data"]["userName"]) for each in people]
    assert exist == [False, False, False, False, False, True]
    assert (await scim("GET", path)).document == existing


async def test_invalid_user_in_a_cycle_gets_its_error_and_the_rest_409(
    scim: Client,
):
    people = [
        post("first", "bulkId:second", title=7),
        post("second", "bulkId:third"),
        post("third", "bulkId:first"),
    ]
    results = await bulk(scim, *people)
    assert outcomes(results) == [("400", "invalidValue"), ("409", None), ("409", None)]
    assert results[1] == rolled_back("second", "third")
    assert [await exists(scim, each["data"]["userName"]) for each in people] == [False] * 3


async def test_failed_unknown_or_repeated_bulk_id_is_invalid_value(scim: Client):
    in_use = (await scim("POST", "/Users", person())).document["userName"]
    results = await bulk(
        scim,
        post("a", userName=in_use),
        post("b", "bulkId:a"),
        post("c", "bulkId:nobody"),
        {"method": "DELETE", "path": "/Users/bulkId:a"},
        post("d"),
        post("d"),
        post("e"),
    )
    invalid = ("400", "invalidValue")
    assert outcomes(results) == [
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


async def test_fail_on_errors_stops_after_that_many_failures(scim: Client):
    bad = {"method": "DELETE", "path": f"/Users/{uuid4()}"}
    first, last = post("first"), post("last")

    results = await bulk(scim, bad, first, bad, last, failOnErrors=2)

    assert outcomes(results) == [("404", None), ("201", None), ("404", None)]
    assert not await exists(scim, last["data"]["userName"])
    assert results[0]["location"] == scim.url + bad["path"]


async def test_failures_without_fail_on_errors_do_not_stop_the_rest(scim: Client):
    bad = {"method": "DELETE", "path": f"/Users/{uuid4()}"}
    results = await bulk(scim, bad, bad, bad, post("last"))
    assert outcomes(results) == [*[("404", None)] * 3, ("201", None)]


async def test_fail_on_errors_rolls_back_a_cycle_with_a_failed_operation(scim: Client):
    ann, bob = post("ann", "bulkId:bob"), post("bob", "bulkId:ann")
    ann["data"]["title"] = 7
    results = await bulk(scim, ann, bob, failOnErrors=1)
    assert outcomes(results) == [("400", "invalidValue")]
    assert not await exists(scim, bob["data"]["userName"])


async def test_fail_on_errors_rolls_back_all_operations_of_a_long_cycle(scim: Client):
    people = [
        post("first", "bulkId:second", title=7),
        post("second", "bulkId:third"),
        post("third", "bulkId:first"),
    ]
    results = await bulk(scim, *people, failOnErrors=1)
    assert outcomes(results) == [("400", "invalidValue")]
    assert [await exists(scim, each["data"]["userName"]) for each in people] == [False] * 3


async def test_operation_with_outdated_version_is_412(scim: Client):
    user = (await scim("POST", "/Users", person())).document
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    results = await bulk(
        scim,
        replace(path, "title", "One", version=version),
        replace(path, "title", "Two", version=version),
        {"method": "DELETE", "path": path, "version": version},
    )
    assert outcomes(results) == [("200", None), ("412", None), ("412", None)]
    assert (await scim("GET", path)).document["title"] == "One"


async def test_operation_other_than_a_resource_change_is_refused(scim: Client):
    data = {"schemas": [REQUEST], "Operations": []}
    results = await bulk(
        scim,
        {"method": "POST", "path": "/Bulk", "bulkId": "a", "data": data},
        {"method": "POST", "path": "/Users/.search", "bulkId": "b", "data": {}},
        {"method": "POST", "path": "/Schemas", "bulkId": "c", "data": {}},
        {"method": "GET", "path": "/Users"},
        {"method": "DELETE", "path": "/Users"},
    )
    assert outcomes(results) == [
        ("400", "invalidValue"),
        ("405", None),
        ("404", None),
        ("400", "invalidValue"),
        ("405", None),
    ]


async def test_bulk_request_over_a_limit_is_413_and_names_the_limit(scim: Client):
    def refusal(reply: Reply) -> tuple[int, str]:
        return reply.status, reply.document["detail"]

    too_many = await scim("POST", "/Bulk", {"schemas": [REQUEST], "Operations": [{}] * 1001})
    too_large = await scim("POST", "/Bulk", b" " * (1024 * 1024 + 1))
    limit = "The bulk request has 1001 operations; maxOperations is 1000."
    assert refusal(too_many) == (413, f"{limit} Send them in several requests.")
    assert refusal(too_large) == (
        413,
        "The body is larger than 1048576 bytes. Send the change in smaller parts.",
    )


async def test_thousand_users_are_created_in_one_request(scim: Client):
    results = await bulk(
        scim, *[post(str(each), f"bulkId:{each + 1}") for each in range(999)], post("999")
    )
    assert outcomes(results) == [("201", None)] * 1000
    first = await read_user(scim, results[0])
    assert first[ENTERPRISE]["manager"]["value"] == created_id(results[1])


async def test_bulk_request_cannot_delete_a_user_of_another_organization(scim: Client, operate):
    user = (await scim("POST", "/Users", person())).document
    token = (await operate.generate_key(await operate.create_organization())).token
    reply = await scim(
        "POST",
        "/Bulk",
        {"Operations": [{"method": "DELETE", "path": f"/Users/{user['id']}"}]},
        Authorization=f"Bearer {token}",
    )
    assert outcomes(reply.document["Operations"]) == [("404", None)]
    assert (await scim("GET", f"/Users/{user['id']}")).status == 200


async def test_service_provider_config_has_bulk_limits(scim: Client):
    reply = await scim("GET", "/ServiceProviderConfig")
    assert reply.document["bulk"] == {
        "supported": True,
        "maxOperations": 1000,
        "maxPayloadSize": 1048576,
    }
    assert (await scim("GET", "/Bulk")).headers["Allow"] == "POST"
