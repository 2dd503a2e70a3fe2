"""The operations that are compared: their requests, the expected responses, and their order.

An operation that creates users or adds members is followed by the operation that deletes or removes
them, so the tenant has the same size in every round.
"""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

from tools.benchmarks.against.load import Connection, connected, send_in_waves
from tools.benchmarks.against.region import Address
from tools.benchmarks.client import Item, Request, request
from tools.benchmarks.work import Work, by_value, person

OPERATIONS = (
    "get",
    "filter",
    "list",
    "patch",
    "create",
    "delete",
    "member-add",
    "member-remove",
)
"""In the order of execution: an operation is followed by the one that undoes it."""
UNDOES = {"delete": "create", "member-remove": "member-add"}
PAGE = 100
"""Users per page of a list."""
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_FILL_CONNECTIONS = 16


def with_counterparts(operations: Iterable[str]) -> list[str]:
    """The operations and their counterparts, in the order of execution."""
    wanted = set(operations)
    for undoing, undone in UNDOES.items():
        if wanted & {undoing, undone}:
            wanted |= {undoing, undone}
    return [operation for operation in OPERATIONS if operation in wanted]


class Workload:
    """Requests to one region and the users created so far; lives as long as the region's data.

    Two regions with the same number of users get the same requests in the same order.
    """

    def __init__(self) -> None:
        self._address = Address("", 0, "", "")
        self._work = Work("", "", "")
        self._created: deque[str] = deque()
        self._members: deque[str] = deque()

    def use_address(self, address: Address) -> None:
        """Send later requests to another address, after a restart of the region."""
        self._address = address
        self._work = self._work.at(address.netloc)
        self._work.prefix, self._work.token = address.path, address.token

    async def fill(self, users: int) -> None:
        """Create the users and the group that requests refer to."""
        names = [f"user-{number}@bench.test" for number in range(users)]
        items = (self._create(name, self._keep_user) for name in names)
        group = self._request("POST", "/Groups", {"displayName": "Staff"}), self._keep_group
        async with self.connected(_FILL_CONNECTIONS) as connections:
            await send_in_waves(connections, items, users)
            await send_in_waves(connections, iter([group]), 1)
        self._work.people.sort(key=lambda each: each[1])  # responses arrive in any order

    def connected(self, number: int) -> AbstractAsyncContextManager[list[Connection]]:
        """Open `number` connections to the region."""
        return connected((self._address.host, self._address.port), number)

    async def run(self, operation: str, requests: int, connections: Sequence[Connection]) -> None:
        """Send `requests` requests. Raises WrongResponseError for an unexpected response."""
        await send_in_waves(connections, self.items(operation), requests)

    def items(self, operation: str) -> Iterator[Item]:
        """Requests of an operation; one that undoes another ends when nothing is left to undo."""
        match operation:
            case "get" | "filter" | "patch":
                return self._work.operation(operation)
            case "list":
                return self._list()
            case "create":
                return self._creates()
            case "delete":
                return self._deletes()
            case "member-add":
                return self._member_adds()
            case "member-remove":
                return self._member_removes()
            case _:
                raise ValueError(f"unknown operation {operation}")

    def _list(self) -> Iterator[Item]:
        item = self._request("GET", f"/Users?count={PAGE}"), self._page
        return itertools.repeat(item)

    def _page(self, status: int, body: bytes) -> bool:
        minimum = min(PAGE, len(self._work.people))  # the list also has the first administrator
        return status == 200 and minimum <= body.count(b'"userName"') <= PAGE

    def _creates(self) -> Iterator[Item]:
        while True:
            yield self._create(f"{uuid4().hex}@bench.test", self._keep_created)

    def _create(self, name: str, save: Callable[[str, str], None]) -> Item:
        def check(status: int, body: bytes) -> bool:
            if status == 201:
                save(json.loads(body)["id"], name)
            return status == 201

        return self._request("POST", "/Users", person(name)), check

    def _keep_user(self, user_id: str, name: str) -> None:
        self._work.people.append((user_id, name))

    def _keep_created(self, user_id: str, _: str) -> None:
        self._created.append(user_id)

    def _deletes(self) -> Iterator[Item]:
        while self._created:
            user_id = self._created.popleft()
            yield self._request("DELETE", f"/Users/{user_id}"), _is_no_content

    def _member_adds(self) -> Iterator[Item]:
        member_ids = set(self._members)
        for user_id, _ in self._work.people:
            if user_id not in member_ids:
                self._members.append(user_id)
                adding = {"op": "Add", "path": "members", "value": [{"value": user_id}]}
                yield self._patch_group(adding), _is_ok

    def _member_removes(self) -> Iterator[Item]:
        while self._members:
            yield self._patch_group(by_value(self._members.popleft())), _is_ok

    def _patch_group(self, operation: object) -> Request:
        body = {"schemas": [_PATCH], "Operations": [operation]}
        return self._request("PATCH", f"/Groups/{self._work.group}", body)

    def _keep_group(self, status: int, body: bytes) -> bool:
        if status == 201:
            self._work.group = json.loads(body)["id"]
        return status == 201

    def _request(self, method: str, path: str, body: object = None) -> Request:
        content = json.dumps(body).encode() if body is not None else b""
        address = self._address
        return request(method, address.path + path, address.netloc, address.token, content)


def _is_no_content(status: int, _: bytes) -> bool:
    return status == 204


def _is_ok(status: int, _: bytes) -> bool:
    return status in (200, 204)
