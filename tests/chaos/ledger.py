"""What was acknowledged, and so must be; what may be; and what must not."""

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import uuid4

import aiohttp

from tests.chaos.region import Region

SCIM = "application/scim+json"
PATIENCE_SECONDS = 20.0
BUSY = (429, 503, 504)
NO_ANSWER = "no answer"


class Life(Enum):
    """Whether a person is there, as far as answers tell."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass
class Person:
    """One person and every state that the answers so far allow."""

    name: str
    user_id: str = ""
    life: Life = Life.UNKNOWN
    active: set[bool] = field(default_factory=lambda: {True})
    member: set[bool] = field(default_factory=lambda: {False})


@dataclass
class Tally:
    """What was sent and how it ended."""

    sent: int = 0
    busy: Counter[str] = field(default_factory=Counter)
    """Errors that a client shall repeat, by kind."""
    wrong: list[str] = field(default_factory=list)
    """Answers that must never be given."""
    last_error: float = 0.0


class Driver:
    """Plays an identity provider at a steady rate, and judges each answer."""

    def __init__(self, region: Region, session: aiohttp.ClientSession, rate: float) -> None:
        self._region = region
        self._session = session
        self._interval = 1.0 / rate
        self._gateways = itertools.count()
        self._random = random.Random(7)
        self.people: list[Person] = []
        self._free: list[Person] = []
        self._group_id = ""
        self.tally = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        """Send requests until told to stop; wait for those that are under way."""
        loop = asyncio.get_running_loop()
        if not self._group_id:
            status, body = await self._send("POST", "/Groups", {"displayName": "Everybody"})
            assert status == 201, status
            self._group_id = str(body["id"])
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                tasks.create_task(self._one())
                due = max(due + self._interval, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _one(self) -> None:
        if len(self._free) < 30 or self._random.random() < 0.25:
            person = Person(f"{uuid4().hex}@corp.test")
            self.people.append(person)
            await self._create(person)
        else:
            person = self._free.pop(self._random.randrange(len(self._free)))
            act = self._random.choices(
                (self._get, self._find, self._switch, self._join, self._delete), (4, 3, 5, 3, 1)
            )[0]
            await act(person)
        # One request at a time for each person, as identity providers do it.
        if person.life is Life.THERE:
            self._free.append(person)

    async def _create(self, person: Person) -> None:
        status, body = await self._send("POST", "/Users", {"userName": person.name})
        if status == 201:
            person.user_id, person.life = body["id"], Life.THERE
        elif status not in (0, *BUSY):
            self._wrong(f"POST answered {status}")

    async def _get(self, person: Person) -> None:
        status, body = await self._send("GET", f"/Users/{person.user_id}")
        if status == 200:
            self._judge(person, body)
        elif status not in (0, *BUSY):
            self._wrong(f"GET of somebody who is there answered {status}")

    async def _find(self, person: Person) -> None:
        path = f'/Users?filter=userName+eq+"{person.name}"'
        status, body = await self._send("GET", path)
        if status == 200:
            if body["totalResults"] != 1:
                self._wrong(f"a filter found {body['totalResults']} of one")
            else:
                self._judge(person, body["Resources"][0])
        elif status not in (0, *BUSY):
            self._wrong(f"a filter answered {status}")

    async def _switch(self, person: Person) -> None:
        wanted = self._random.random() < 0.5
        operation = {"op": "Replace", "path": "active", "value": str(wanted)}
        status, body = await self._send(
            "PATCH", f"/Users/{person.user_id}", {"Operations": [operation]}
        )
        if status == 200:
            person.active = {wanted}
            self._judge(person, body)
        elif status in (0, *BUSY):
            person.active = person.active | {wanted}
        else:
            self._wrong(f"PATCH answered {status}")

    async def _join(self, person: Person) -> None:
        wanted = self._random.random() < 0.7
        operation: dict[str, object] = {
            "op": "Add" if wanted else "Remove",
            "path": "members",
            "value": [{"value": person.user_id}],
        }
        path = f"/Groups/{self._group_id}"
        status, _ = await self._send("PATCH", path, {"Operations": [operation]})
        if status in (200, 204):
            person.member = {wanted}
        elif status in (0, *BUSY):
            person.member = person.member | {wanted}
        else:
            self._wrong(f"PATCH of members answered {status}")

    async def _delete(self, person: Person) -> None:
        status, _ = await self._send("DELETE", f"/Users/{person.user_id}")
        if status == 204:
            person.life = Life.GONE
        elif status in (0, *BUSY):
            person.life = Life.UNKNOWN
        else:
            self._wrong(f"DELETE answered {status}")

    def _judge(self, person: Person, body: dict[str, object]) -> None:
        if (body["id"], body["userName"]) != (person.user_id, person.name):
            self._wrong("another's data was answered")
        elif body["active"] not in person.active:
            self._wrong(f"active is {body['active']}, not one of {person.active}")

    async def _send(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]:
        """The status, 0 when there was no answer, and the body."""
        self.tally.sent += 1
        urls = self._region.urls()
        url = urls[next(self._gateways) % len(urls)]
        headers = {"Authorization": f"Bearer {self._region.token}", "Content-Type": SCIM}
        try:
            async with self._session.request(
                method, url + path, json=body, headers=headers
            ) as reply:
                document = await reply.json(content_type=None) if reply.status != 204 else {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._busy(NO_ANSWER)
            return 0, {}
        if reply.status in BUSY:
            self._busy(str(reply.status))
            if "Retry-After" not in reply.headers:
                self._wrong(f"{reply.status} without Retry-After")
        return reply.status, document or {}

    def _busy(self, kind: str) -> None:
        self.tally.busy[kind] += 1
        self.tally.last_error = asyncio.get_running_loop().time()

    def _wrong(self, what: str) -> None:
        self.tally.wrong.append(what)

    async def audit(self) -> tuple[int, int]:
        """How many acknowledged states are lost, and how many people are there twice."""
        found = await self._everybody()
        members = await self._members()
        lost, twice = 0, 0
        for person in self.people:
            states = found.get(person.name, [])
            twice += len(states) > 1
            if person.life is Life.THERE:
                lost += not states or states[0] not in person.active
                lost += (person.user_id in members) not in person.member
            elif person.life is Life.GONE:
                lost += bool(states) or person.user_id in members
        return lost, twice

    async def _everybody(self) -> dict[str, list[bool]]:
        """All people of the organization by name, read page by page, once the system answers."""
        found: dict[str, list[bool]] = {}
        cursor = ""
        while True:
            body = await self._read(f"/Users?count=1000&cursor={cursor}")
            for user in body["Resources"]:
                found.setdefault(user["userName"], []).append(user["active"])
            cursor = body.get("nextCursor", "")
            if not cursor:
                return found

    async def _members(self) -> set[str]:
        """The ids of the group's members."""
        body = await self._read(f"/Groups/{self._group_id}")
        return {member["value"] for member in body.get("members", ())}

    async def _read(self, path: str) -> dict[str, Any]:
        """What is at a path, once the system answers."""
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            status, body = await self._send("GET", path)
            if status == 200:
                return body
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{path} answers {status}")
            await asyncio.sleep(0.2)
