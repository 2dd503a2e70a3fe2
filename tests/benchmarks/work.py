"""The requests that are measured: what is sent, and what has to come back."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote
from uuid import uuid4

from tests.benchmarks.client import Check, Request, request

Item = tuple[Request, Check]


@dataclass
class Work:
    """A tenant with people in it, and the requests about them."""

    host: str
    prefix: str
    token: str
    people: list[tuple[str, str]] = field(default_factory=list)
    """Ids and user names."""
    group: str = ""
    random: Random = field(default_factory=lambda: Random(7))

    def operation(self, name: str, count: int) -> Iterator[Item]:
        """So many requests of a kind."""
        return itertools.islice(getattr(self, name)(), count)

    def create(self) -> Iterator[Item]:
        """POST a person as Entra does."""
        while True:
            name = f"{uuid4().hex}@bench.test"
            yield self._send("POST", "/Users", person(name)), _is(201, name.encode())

    def get(self) -> Iterator[Item]:
        """GET somebody by id."""
        while True:
            user_id, name = self.random.choice(self.people)
            yield self._send("GET", f"/Users/{user_id}"), _is(200, name.encode())

    def filter(self) -> Iterator[Item]:
        """GET somebody by userName."""
        while True:
            user_id, name = self.random.choice(self.people)
            query = f"userName+eq+%22{quote(name)}%22"
            yield self._send("GET", f"/Users?filter={query}"), _is(200, user_id.encode())

    def patch(self) -> Iterator[Item]:
        """PATCH active, each time to what it was not before."""
        states = itertools.cycle(["False", "True"])
        while True:
            state = next(states)
            for user_id, _ in self.people:
                operation = {"op": "Replace", "path": "active", "value": state}
                body = {"schemas": [_PATCH], "Operations": [operation]}
                said = b'"active":' + state.lower().encode()
                yield self._send("PATCH", f"/Users/{user_id}", body), _is(200, said)

    def mix(self) -> Iterator[Item]:
        """What a cycle of Entra's is made of: mostly looking, sometimes changing."""
        kinds = {"filter": self.filter(), "get": self.get(), "patch": self.patch()}
        kinds["create"] = self.create()
        while True:
            (kind,) = self.random.choices(list(kinds), (5, 2, 2, 1))
            yield next(kinds[kind])

    def member(self) -> Iterator[Item]:
        """Add somebody to a group, and take them out again."""
        while True:
            user_id, _ = self.random.choice(self.people)
            for op in ("Add", "Remove"):
                operation = {"op": op, "path": "members", "value": [{"value": user_id}]}
                body = {"schemas": [_PATCH], "Operations": [operation]}
                yield (
                    self._send("PATCH", f"/Groups/{self.group}", body),
                    lambda status, _: status in (200, 204),
                )

    def _send(self, method: str, path: str, body: object = None) -> Request:
        content = json.dumps(body).encode() if body is not None else b""
        return request(method, self.prefix + path, self.host, self.token, content)


def person(name: str) -> dict[str, object]:
    """A person as Entra's default mapping sends one."""
    return {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": name.partition("@")[0],
        "userName": name,
        "active": True,
        "meta": {"resourceType": "User"},
        "name": {"givenName": "Ann", "familyName": "Li", "formatted": "Ann Li"},
        "emails": [{"primary": True, "type": "work", "value": name}],
    }


_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def _is(status: int, part: bytes) -> Check:
    return lambda answered, body: answered == status and part in body
