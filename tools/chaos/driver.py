"""Sends requests as Entra does at a steady rate during faults, and checks each response."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias, TypeVar

import aiohttp

from tools.chaos.counts import RETRYABLE, FaultCounts
from tools.chaos.ledger import Account, Existence, Ledger, Team
from tools.chaos.region import Region
from tools.entra.client import EntraClient, RequestError, RequestRecord, Resource, Retries, connect
from tools.entra.dialects import Dialect, dialect_for, membership, patch
from tools.entra.groups import post_body as group_post_body
from tools.entra.mapping import Value, post_body

TIMEOUT_SECONDS = 20.0
REPEAT_SECONDS = 2.0
"""Delay before a repetition; at least the Retry-After that the gateway sends."""
FREE = 30
"""Minimum number of existing, idle people to choose from."""
_ID = re.compile("[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f-]{27}")
CONFLICT = 409
NOT_FOUND = 404

Action: TypeAlias = Callable[[], Awaitable[None]]
Result = TypeVar("Result")


class OutcomeUnknownError(Exception):
    """The outcome of a request is unknown; it has to be repeated."""


class Driver:
    """An identity provider: one request at a time per person; failed requests are repeated.

    A repetition is not the same request. A create first looks for the resource, as Entra's next
    cycle does. A change is replaced by the opposite change: once that is acknowledged, the first
    one must not take effect any more.
    """

    def __init__(self, region: Region, rate: float) -> None:
        self._region = region
        self._interval = 1.0 / rate
        self._turns = itertools.count()
        self._random = random.Random(7)
        self._clients: Mapping[str, EntraClient] = {}
        self._free: list[Account] = []
        self._teams: list[Team] = []
        self._retries: list[tuple[Action, Account | None]] = []
        self.ledger = Ledger()
        self.counts = FaultCounts()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Driver"]:
        """Open clients to each gateway; they do not repeat requests themselves."""
        async with AsyncExitStack() as stack:
            self._clients = {
                url: await stack.enter_async_context(
                    connect(
                        url,
                        self._region.token,
                        connections=500,
                        retries=Retries(times=0),
                        observe=self._observe,
                        timeout=TIMEOUT_SECONDS,
                    )
                )
                for url in self._region.urls()
            }
            yield self

    @property
    def client(self) -> EntraClient:
        """The client of the next gateway, in turn."""
        urls = self._region.urls()
        return self._clients[urls[next(self._turns) % len(urls)]]

    async def run(self, stop: asyncio.Event) -> None:
        """Send requests until `stop` is set, then wait for the pending ones."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                tasks.create_task(self._send_next())
                due = max(due + self._interval, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _send_next(self) -> None:
        if self._retries:
            act, account = self._retries.pop(0)
            await self._attempt(act, act, account)
        elif not self._teams or self._random.random() < 0.04:
            act = partial(self._provision_team, self.ledger.new_team())
            await self._attempt(act, act)
        elif len(self._free) < FREE or self._random.random() < 0.25:
            account = self.ledger.new_account()
            act = partial(self._provision, account)
            await self._attempt(act, act, account)
        else:
            account = self._free.pop(self._random.randrange(len(self._free)))
            await self._attempt(*self._choose_action(account), account)

    def _choose_action(self, account: Account) -> tuple[Action, Action]:
        """A random action on an existing person, and the one to take if its outcome is unknown."""
        (kind,) = self._random.choices(
            ("get", "find", "switch", "retitle", "join", "delete"), (4, 3, 4, 2, 4, 1)
        )
        state = self._random.random() < 0.5
        match kind:
            case "switch":
                return (
                    partial(self._change, account, {"active": state}),
                    partial(self._change, account, {"active": not state}),
                )
            case "retitle":
                titles = [f"Grade {self._random.getrandbits(40)}" for _ in range(2)]
                first, second = (partial(self._change, account, {"title": each}) for each in titles)
                return first, second
            case "join":
                team = self._random.choice(self._teams)
                return (
                    partial(self._join, account, team, joins=state),
                    partial(self._join, account, team, joins=not state),
                )
            case "delete":
                act = partial(self._delete, account)
            case "find":
                act = partial(self._find, account)
            case _:
                act = partial(self._get, account)
        return act, act

    async def _attempt(
        self, act: Action, if_unknown: Action, account: Account | None = None
    ) -> None:
        try:
            await act()
        except OutcomeUnknownError:
            asyncio.get_running_loop().call_later(
                REPEAT_SECONDS, self._retries.append, (if_unknown, account)
            )
        except RequestError as error:
            self._wrong(_without_names(error))
        else:
            if account is not None and account.existence is Existence.EXISTS:
                self._free.append(account)

    async def _provision(self, account: Account) -> None:
        """Match the person; create them if there is no match."""
        name = account.person.user_name
        resource = await self._result(self.client.find("userName", name))
        if resource is None:
            was_sent, account.was_sent = account.was_sent, True
            try:
                resource = await self._result(self.client.create(post_body(account.person)))
            except RequestError as error:
                if error.status == CONFLICT and was_sent:  # the earlier request took effect
                    raise OutcomeUnknownError from error
                raise
        elif not account.was_sent:
            self._wrong("a person was found that was never created")
        account.user_id, account.existence = str(resource["id"]), Existence.EXISTS
        self._check(account, resource)

    async def _provision_team(self, team: Team) -> None:
        resource = await self._result(self.client.find_group(team.group.display_name))
        if resource is None:
            team.was_sent = True
            body = group_post_body(team.group)
            resource = await self._result(self.client.create_group(body))
        elif not team.was_sent:
            self._wrong("a group was found that was never created")
        if resource["displayName"] != team.group.display_name:
            self._wrong("the response has another group")
        team.group_id, team.existence = str(resource["id"]), Existence.EXISTS
        self._teams.append(team)

    async def _get(self, account: Account) -> None:
        resource = await self._result(self.client.get(account.user_id))
        if resource is None:
            self._wrong("404 for an existing person")
        else:
            self._check(account, resource)

    async def _find(self, account: Account) -> None:
        name = account.person.user_name
        resource = await self._result(self.client.find("userName", name))
        if resource is None:
            self._wrong("a filter did not find an existing person")
        else:
            self._check(account, resource)

    async def _change(self, account: Account, values: Mapping[str, Value]) -> None:
        for path, value in values.items():
            account.values[path] = account.values[path] | {value}
        dialect = dialect_for(Dialect.MIXED, account.person.number)
        body = patch(dialect, values, present={"active"})
        resource = await self._result(self.client.patch(account.user_id, body))
        for path, value in values.items():
            account.values[path] = {value}
        if resource is not None:
            self._check(account, resource)

    async def _join(self, account: Account, team: Team, *, joins: bool) -> None:
        before = team.members.get(account.user_id, {False})
        team.members[account.user_id] = before | {joins}
        dialect = dialect_for(Dialect.MIXED, account.person.number)
        body = membership(dialect, account.user_id, joins=joins)
        await self._result(self.client.patch_group(team.group_id, body))
        team.members[account.user_id] = {joins}

    async def _delete(self, account: Account) -> None:
        account.existence = Existence.UNKNOWN
        delete_was_sent, account.delete_was_sent = account.delete_was_sent, True
        try:
            await self._result(self.client.delete(account.user_id))
        except RequestError as error:
            if error.status != NOT_FOUND or not delete_was_sent:
                raise
        account.existence = Existence.DELETED

    async def _result(self, request: Awaitable[Result]) -> Result:
        """The response. Raises OutcomeUnknownError if the outcome of the request is unknown."""
        try:
            return await request
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknownError from error
        except RequestError as error:
            if error.status in RETRYABLE:
                raise OutcomeUnknownError from error
            raise

    def _check(self, account: Account, resource: Resource) -> None:
        for fault in account.faults(resource):
            self._wrong(fault)

    def _observe(self, record: RequestRecord) -> None:
        self.counts.observe(record)

    def _wrong(self, what: str) -> None:
        self.counts.wrong[what] += 1


def _without_names(error: RequestError) -> str:
    """The error text without ids, paths and names, so that equal errors are counted together."""
    words = _ID.sub("…", str(error)).split()
    return " ".join(word for word in words if "/" not in word and "@" not in word)[:200]
