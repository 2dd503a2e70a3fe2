"""Ordinary SCIM traffic that keeps the number of resources constant, and some unknown keys."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from secrets import token_bytes
from typing import Final
from uuid import uuid4

import aiohttp

from keysvc.domain.key_token import generate
from keysvc.domain.organizations import Region
from tools.benchmarks.client import Item, request
from tools.benchmarks.work import Work, person

CREATED_PEOPLE: Final = 20
"""Number of created people per organization; older ones are deleted."""
WEIGHTS: Final = {"get": 4, "filter": 4, "patch": 2, "member": 1, "turnover": 1}


@dataclass(slots=True)
class Turnover:
    """Creates people and deletes older ones, so that their number stays constant."""

    work: Work
    _created_ids: deque[str] = field(default_factory=deque)

    def __iter__(self) -> Iterator[Item]:
        while True:
            name = f"{uuid4().hex}@leaks.test"
            yield self._send("POST", "/Users", json.dumps(person(name)).encode()), self._created
            if len(self._created_ids) > CREATED_PEOPLE:
                yield self._send("DELETE", f"/Users/{self._created_ids.popleft()}"), _is_deleted

    def _created(self, status: int, body: bytes) -> bool:
        if status != 201:
            return False
        self._created_ids.append(json.loads(body)["id"])
        return True

    def _send(self, method: str, path: str, body: bytes = b"") -> bytes:
        work = self.work
        return request(method, work.prefix + path, work.host, work.token, body)


def traffic(works: Sequence[Work], unknown_key_share: float, random: Random) -> Iterator[Item]:
    """Requests of each organization in turn; a share of them has an unknown key."""
    kinds = [
        {name: work.operation(name) for name in ("get", "filter", "patch", "member")}
        | {"turnover": iter(Turnover(work))}
        for work in works
    ]
    while True:
        for work, operations in zip(works, kinds, strict=True):
            if random.random() < unknown_key_share:
                yield _with_unknown_key(work)
            else:
                (kind,) = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
                yield next(operations[kind])


async def with_group(work: Work) -> Work:
    """Create a group in an organization, for member changes."""
    headers = {"Authorization": f"Bearer {work.token}"}
    url = f"http://{work.host}{work.prefix}/Groups"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json={"displayName": "Staff"}) as created,
    ):
        work.group = (await created.json(content_type=None))["id"]
    return work


def _with_unknown_key(work: Work) -> Item:
    """A request with a well-formed unknown key, so that keysvc has to look it up."""
    key = generate(Region.US, token_bytes).text
    return request("GET", f"{work.prefix}/Users", work.host, key), _refused


def _refused(status: int, _: bytes) -> bool:
    return status in (401, 429)


def _is_deleted(status: int, _: bytes) -> bool:
    return status == 204
