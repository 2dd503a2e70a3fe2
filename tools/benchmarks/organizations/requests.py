"""Requests that only this benchmark sends."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from uuid import uuid4

from tools.benchmarks.client import Bound, Check, Item, drive
from tools.benchmarks.organizations.people import group_id
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work, person

PAGE = 50
"""Users of a page."""
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def email_changes(work: Work) -> Iterator[Item]:
    """PATCH the e-mail address, each time to a new one."""
    for number, (user_id, _) in enumerate(itertools.cycle(work.people)):
        value = f"new{number}@bench.test"
        operation = {"op": "Replace", "path": 'emails[type eq "work"].value', "value": value}
        yield patch(work, f"/Users/{user_id}", operation), is_status(200, 204)


def nestings(work: Work, organization: int) -> Iterator[Item]:
    """Add a group to another one and remove it again."""
    path = f"/Groups/{group_id(organization, 2)}"
    member = [{"value": str(group_id(organization, 3))}]
    for kind in itertools.cycle(("Add", "Remove")):
        operation = {"op": kind, "path": "members", "value": member}
        yield patch(work, path, operation), is_status(200, 204)


def pages(work: Work) -> Iterator[Item]:
    """GET the first page by cursor (RFC 9865). A page by index would count all users."""
    sent = work._send("GET", f"/Users?cursor=&count={PAGE}")
    while True:
        yield sent, lambda status, body: status == 200 and body.count(b'"userName"') == PAGE


def creations(work: Work, ids: list[str]) -> Iterator[Item]:
    """POST users; appends their ids."""

    def check(status: int, body: bytes) -> bool:
        if status == 201:
            ids.append(json.loads(body)["id"])
        return status == 201

    while True:
        yield work._send("POST", "/Users", person(f"{uuid4().hex}@bench.test")), check


async def create_users(server: Server, count: int) -> list[str]:
    """Create users. Returns their ids."""
    ids: list[str] = []
    sample = await drive(server.address, 8, creations(server.work, ids), Bound(count, 600))
    if sample.wrong:
        raise RuntimeError(f"a user was not created: {sample.first_wrong}")
    return ids


def deletions(work: Work, ids: Iterable[str]) -> Iterator[Item]:
    """DELETE users."""
    for user_id in ids:
        yield work._send("DELETE", f"/Users/{user_id}"), is_status(204)


def gets(work: Work, ids: Iterable[str]) -> Iterator[Item]:
    """GET users."""
    for user_id in ids:
        yield work._send("GET", f"/Users/{user_id}"), is_status(200)


def title_changes(work: Work, ids: Iterable[str]) -> Iterator[Item]:
    """PATCH the title of users."""
    for user_id in ids:
        operation = {"op": "Replace", "path": "title", "value": uuid4().hex}
        yield patch(work, f"/Users/{user_id}", operation), is_status(200, 204)


def search_by_ids(work: Work, ids: Sequence[str]) -> Iterator[Item]:
    """Search for users by a filter that names each id."""
    text = " or ".join(f'id eq "{each}"' for each in ids)
    body = {"schemas": [_SEARCH], "filter": text, "count": len(ids)}
    while True:
        yield (
            work._send("POST", "/Users/.search", body),
            lambda status, body: status == 200 and body.count(b'"userName"') == len(ids),
        )


def bulk_creations(work: Work, operations: int) -> Iterator[Item]:
    """Bulk requests that create users."""
    while True:
        yield _bulk(
            work,
            [
                {
                    "method": "POST",
                    "path": "/Users",
                    "bulkId": f"b{number}",
                    "data": person(f"{uuid4().hex}@bench.test"),
                }
                for number in range(operations)
            ],
            "201",
        )


def bulk_patches(work: Work, operations: int) -> Iterator[Item]:
    """Bulk requests that PATCH the titles of different users."""
    ids = itertools.cycle(user_id for user_id, _ in work.people)
    while True:
        title = uuid4().hex
        data = {
            "schemas": [_PATCH],
            "Operations": [{"op": "Replace", "path": "title", "value": title}],
        }
        yield _bulk(
            work,
            [
                {"method": "PATCH", "path": f"/Users/{user_id}", "data": data}
                for user_id in itertools.islice(ids, operations)
            ],
            "200",
        )


def _bulk(work: Work, operations: list[dict[str, object]], status: str) -> Item:
    expected = f'"status":"{status}"'.encode()

    def check(actual: int, body: bytes) -> bool:
        return actual == 200 and body.count(expected) == len(operations)

    body = {"schemas": [_BULK], "Operations": operations}
    return work._send("POST", "/Bulk", body), check


def patch(work: Work, path: str, operation: object) -> bytes:
    """A PATCH request with one operation."""
    return work._patch(path, operation)


def is_status(*statuses: int) -> Check:
    """Whether a response has one of these statuses."""
    return lambda status, _: status in statuses
