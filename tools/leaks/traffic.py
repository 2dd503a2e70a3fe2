"""Ordinary SCIM traffic that leaves as much as it finds, and some made-up keys."""

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

MADE: Final = 20
"""So many people of each organization come and go."""
WEIGHTS: Final = {"get": 4, "filter": 4, "patch": 2, "member": 1, "turnover": 1}


@dataclass(slots=True)
class Turnover:
    """Creates somebody, and deletes whoever was created long before: the number stays."""

    work: Work
    _made: deque[str] = field(default_factory=deque)

    def __iter__(self) -> Iterator[Item]:
        while True:
            name = f"{uuid4().hex}@leaks.test"
            yield self._send("POST", "/Users", json.dumps(person(name)).encode()), self._created
            if len(self._made) > MADE:
                yield self._send("DELETE", f"/Users/{self._made.popleft()}"), _gone

    def _created(self, status: int, body: bytes) -> bool:
        if status != 201:
            return False
        self._made.append(json.loads(body)["id"])
        return True

    def _send(self, method: str, path: str, body: bytes = b"") -> bytes:
        work = self.work
        return request(method, work.prefix + path, work.host, work.token, body)


def traffic(works: Sequence[Work], made_up: float, random: Random) -> Iterator[Item]:
    """Requests of each organization in turn; a share of them has a made-up key."""
    kinds = [
        {name: work.operation(name) for name in ("get", "filter", "patch", "member")}
        | {"turnover": iter(Turnover(work))}
        for work in works
    ]
    while True:
        for work, operations in zip(works, kinds, strict=True):
            if random.random() < made_up:
                yield _with_made_up_key(work)
            else:
                (kind,) = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
                yield next(operations[kind])


async def with_group(work: Work) -> Work:
    """An organization with a group, for its members to change."""
    headers = {"Authorization": f"Bearer {work.token}"}
    url = f"http://{work.host}{work.prefix}/Groups"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json={"displayName": "Staff"}) as made,
    ):
        work.group = (await made.json(content_type=None))["id"]
    return work


def _with_made_up_key(work: Work) -> Item:
    """A key of the right form, so that keysvc has to look for it."""
    key = generate(Region.US, token_bytes).text
    return request("GET", f"{work.prefix}/Users", work.host, key), _refused


def _refused(status: int, _: bytes) -> bool:
    return status in (401, 429)


def _gone(status: int, _: bytes) -> bool:
    return status == 204
