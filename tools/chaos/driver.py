"""Plays Entra at a steady rate through whatever breaks, and judges each answer."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias, TypeVar

import aiohttp

from tools.chaos.ledger import Account, Ledger, Life, Team
from tools.chaos.region import Region
from tools.chaos.tally import BUSY, Tally
from tools.entra.client import EntraClient, Exchange, RequestError, Resource, Retries, connect
from tools.entra.dialects import Dialect, membership, patch, spoken
from tools.entra.groups import creation as group_creation
from tools.entra.mapping import Value, creation

PATIENCE_SECONDS = 20.0
REPEAT_SECONDS = 2.0
"""How long the driver waits before it repeats; what we say in Retry-After, or more."""
FREE = 30
"""So many people, who are there and whom nothing happens to, are kept to choose from."""
_ID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
CONFLICT = 409
NOT_FOUND = 404

Act: TypeAlias = Callable[[], Awaitable[None]]
Answered = TypeVar("Answered")


class BusyError(Exception):
    """Nothing is known of what became of a request; it is to be repeated."""


class Driver:
    """An identity provider: one request at a time for each person, and what failed is repeated.

    What is repeated is not sent again as it was. A create looks for what it makes first, as Entra's
    next cycle does; in place of a change comes the opposite one, so that the first one must not
    arrive any more once that is acknowledged.
    """

    def __init__(self, region: Region, rate: float) -> None:
        self._region = region
        self._interval = 1.0 / rate
        self._turns = itertools.count()
        self._random = random.Random(7)
        self._clients: Mapping[str, EntraClient] = {}
        self._free: list[Account] = []
        self._teams: list[Team] = []
        self._again: list[tuple[Act, Account | None]] = []
        self.ledger = Ledger()
        self.tally = Tally()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Driver"]:
        """With connections to each gateway, which repeat nothing by themselves."""
        async with AsyncExitStack() as stack:
            self._clients = {
                url: await stack.enter_async_context(
                    connect(
                        url,
                        self._region.token,
                        connections=500,
                        retries=Retries(times=0),
                        observe=self._observe,
                        timeout=PATIENCE_SECONDS,
                    )
                )
                for url in self._region.urls()
            }
            yield self

    @property
    def client(self) -> EntraClient:
        """That of the gateway whose turn it is."""
        urls = self._region.urls()
        return self._clients[urls[next(self._turns) % len(urls)]]

    async def run(self, stop: asyncio.Event) -> None:
        """Send requests until told to stop; wait for those that are under way."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                tasks.create_task(self._one())
                due = max(due + self._interval, loop.time() - 1.0)
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _one(self) -> None:
        if self._again:
            act, account = self._again.pop(0)
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
            await self._attempt(*self._something(account), account)

    def _something(self, account: Account) -> tuple[Act, Act]:
        """What happens to a person who is there, and what does if that fails."""
        what = self._random.choices(
            ("get", "find", "switch", "retitle", "join", "delete"), (4, 3, 4, 2, 4, 1)
        )[0]
        wanted = self._random.random() < 0.5
        match what:
            case "switch":
                return (
                    partial(self._change, account, {"active": wanted}),
                    partial(self._change, account, {"active": not wanted}),
                )
            case "retitle":
                titles = [f"Grade {self._random.getrandbits(40)}" for _ in range(2)]
                first, second = (partial(self._change, account, {"title": each}) for each in titles)
                return first, second
            case "join":
                team = self._random.choice(self._teams)
                return (
                    partial(self._join, account, team, joins=wanted),
                    partial(self._join, account, team, joins=not wanted),
                )
            case "delete":
                act = partial(self._delete, account)
            case "find":
                act = partial(self._find, account)
            case _:
                act = partial(self._get, account)
        return act, act

    async def _attempt(self, act: Act, otherwise: Act, account: Account | None = None) -> None:
        try:
            await act()
        except BusyError:
            asyncio.get_running_loop().call_later(
                REPEAT_SECONDS, self._again.append, (otherwise, account)
            )
        except RequestError as error:
            self._wrong(_told(error))
        else:
            if account is not None and account.life is Life.THERE:
                self._free.append(account)

    async def _provision(self, account: Account) -> None:
        """Match, and create if nobody is found."""
        name = account.person.user_name
        resource = await self._answer(self.client.find("userName", name))
        if resource is None:
            was_sent, account.was_sent = account.was_sent, True
            try:
                resource = await self._answer(self.client.create(creation(account.person)))
            except RequestError as error:
                if error.status == CONFLICT and was_sent:  # it has come through after all
                    raise BusyError from error
                raise
        elif not account.was_sent:
            self._wrong("somebody was found whom nobody had created")
        account.user_id, account.life = str(resource["id"]), Life.THERE
        self._judge(account, resource)

    async def _provision_team(self, team: Team) -> None:
        resource = await self._answer(self.client.find_group(team.group.display_name))
        if resource is None:
            team.was_sent = True
            body = group_creation(team.group)
            resource = await self._answer(self.client.create_group(body))
        elif not team.was_sent:
            self._wrong("a group was found that nobody had created")
        if resource["displayName"] != team.group.display_name:
            self._wrong("another group was answered")
        team.group_id, team.life = str(resource["id"]), Life.THERE
        self._teams.append(team)

    async def _get(self, account: Account) -> None:
        resource = await self._answer(self.client.get(account.user_id))
        if resource is None:
            self._wrong("404 for somebody who is there")
        else:
            self._judge(account, resource)

    async def _find(self, account: Account) -> None:
        name = account.person.user_name
        resource = await self._answer(self.client.find("userName", name))
        if resource is None:
            self._wrong("a filter did not find somebody who is there")
        else:
            self._judge(account, resource)

    async def _change(self, account: Account, values: Mapping[str, Value]) -> None:
        for path, value in values.items():
            account.values[path] = account.values[path] | {value}
        dialect = spoken(Dialect.MIXED, account.person.number)
        body = patch(dialect, values, present={"active"})
        resource = await self._answer(self.client.patch(account.user_id, body))
        for path, value in values.items():
            account.values[path] = {value}
        if resource is not None:
            self._judge(account, resource)

    async def _join(self, account: Account, team: Team, *, joins: bool) -> None:
        before = team.members.get(account.user_id, {False})
        team.members[account.user_id] = before | {joins}
        dialect = spoken(Dialect.MIXED, account.person.number)
        body = membership(dialect, account.user_id, joins=joins)
        await self._answer(self.client.patch_group(team.group_id, body))
        team.members[account.user_id] = {joins}

    async def _delete(self, account: Account) -> None:
        account.life = Life.UNKNOWN
        left, account.leaves = account.leaves, True
        try:
            await self._answer(self.client.delete(account.user_id))
        except RequestError as error:
            if error.status != NOT_FOUND or not left:
                raise
        account.life = Life.GONE

    async def _answer(self, answer: Awaitable[Answered]) -> Answered:
        """What was answered. Refuses BusyError when nobody knows what became of the request."""
        try:
            return await answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BusyError from error
        except RequestError as error:
            if error.status in BUSY:
                raise BusyError from error
            raise

    def _judge(self, account: Account, resource: Resource) -> None:
        for fault in account.faults(resource):
            self._wrong(fault)

    def _observe(self, exchange: Exchange) -> None:
        self.tally.observe(exchange)

    def _wrong(self, what: str) -> None:
        self.tally.wrong[what] += 1


def _told(error: RequestError) -> str:
    """The error without the ids, paths and names that make each one different."""
    words = _ID.sub("…", str(error)).split()
    return " ".join(word for word in words if "/" not in word and "@" not in word)[:200]
