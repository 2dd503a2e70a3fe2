"""The measured requests and their expected responses."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import quote
from uuid import uuid4

from tools.benchmarks.client import Check, Item, Request, request

OPERATIONS = ("get", "filter", "patch", "member", "mix", "create")
"""In the order of measuring: operations that make the tenant grow come last."""

Removal = Callable[[str], dict[str, object]]


def by_value(user_id: str) -> dict[str, object]:
    """Remove a member as Entra does."""
    return {"op": "Remove", "path": "members", "value": [{"value": user_id}]}


def by_path(user_id: str) -> dict[str, object]:
    """Remove a member by a value path (RFC 7644 section 3.5.2.2), where Entra's form is refused."""
    return {"op": "Remove", "path": f'members[value eq "{user_id}"]'}


@dataclass
class Work:
    """A tenant with people, and requests about them."""

    host: str
    prefix: str
    token: str
    people: list[tuple[str, str]] = field(default_factory=list)
    """Ids and user names of a sample of the people."""
    group: str = ""
    removal: Removal = by_value
    in_group: int = 64
    """Number of `people` in the group at a time. It exceeds the number of connections, so that no
    member is removed before the response to its addition."""
    random: Random = field(default_factory=lambda: Random(7))
    _members: deque[str] = field(default_factory=deque)
    _active: dict[str, bool] = field(default_factory=dict)

    def at(self, host: str) -> "Work":
        """The same requests at another address; both share the state of users and the group."""
        return replace(self, host=host)

    def operation(self, name: str) -> Iterator[Item]:
        """An endless iterator of an operation's requests."""
        return getattr(self, name)()

    def create(self) -> Iterator[Item]:
        """POST a user as Entra does."""
        while True:
            name = f"{uuid4().hex}@bench.test"
            yield self._send("POST", "/Users", person(name)), _has_user(201, name)

    def get(self) -> Iterator[Item]:
        """GET a user by id."""
        while True:
            user_id, name = self.random.choice(self.people)
            yield self._send("GET", f"/Users/{user_id}"), _has_user(200, name)

    def filter(self) -> Iterator[Item]:
        """GET a user by userName."""
        while True:
            _, name = self.random.choice(self.people)
            query = f"userName+eq+%22{quote(name)}%22"
            yield self._send("GET", f"/Users?filter={query}"), _has_user(200, name)

    def patch(self) -> Iterator[Item]:
        """PATCH `active`, each time to the opposite value."""
        for user_id, _ in itertools.cycle(self.people):
            state = self._active[user_id] = not self._active.get(user_id, True)
            operation = {"op": "Replace", "path": "active", "value": state}
            yield self._patch(f"/Users/{user_id}", operation), _has_active(state)

    def mix(self) -> Iterator[Item]:
        """A mix as in an Entra cycle: mostly reads, some changes."""
        kinds = {"filter": self.filter(), "get": self.get(), "patch": self.patch()}
        kinds["create"] = self.create()
        while True:
            (kind,) = self.random.choices(list(kinds), (5, 2, 2, 1))
            yield next(kinds[kind])

    def member(self) -> Iterator[Item]:
        """Add a member to the group, or remove the one that has been in it longest."""
        path = f"/Groups/{self.group}"
        for user_id, _ in itertools.cycle(self.people):
            if user_id in self._members:
                continue
            if len(self._members) >= self.in_group:
                yield self._patch(path, self.removal(self._members.popleft())), _is_ok
            self._members.append(user_id)
            adding = {"op": "Add", "path": "members", "value": [{"value": user_id}]}
            yield self._patch(path, adding), _is_ok

    def _patch(self, path: str, operation: object) -> Request:
        return self._send("PATCH", path, {"schemas": [_PATCH], "Operations": [operation]})

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


def _has_user(status: int, name: str) -> Check:
    """Whether a response has exactly one user, the expected one."""
    quoted = f'"{name}"'.encode()

    def check(actual: int, body: bytes) -> bool:
        return actual == status and quoted in body and body.count(b'"userName"') == 1

    return check


def _has_active(state: bool) -> Check:
    compact = f'"active":{json.dumps(state)}'.encode()
    spaced = compact.replace(b":", b": ")

    def check(status: int, body: bytes) -> bool:
        # RFC 7644 section 3.5.2: 200 with the resource, or 204 without a body.
        return status == 204 or (status == 200 and (compact in body or spaced in body))

    return check


def _is_ok(status: int, _: bytes) -> bool:
    return status in (200, 204)
