"""Reads all resources after a fault is over and compares them with the ledger."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from tools.chaos.driver import Driver
from tools.chaos.ledger import Account, Existence, Ledger, Team
from tools.entra.client import RequestError, Resource

READERS = 16
LIMIT_SECONDS = 60.0


@dataclass
class Audit:
    """Differences from what was acknowledged; `checked` counts the people read by id."""

    checked: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    duplicated: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


CompareFeed = Callable[[Collection[str], Audit], Awaitable[None]]
"""Compares the ids of the existing people with the change feed."""


async def audit(driver: Driver, compare_feed: CompareFeed) -> Audit:
    """Compare all listed people, groups and members with what was acknowledged, and the feed."""
    people = await _all(driver, "/Users?count=1000")
    result = compare(driver.ledger, people, await _all(driver, "/Groups?count=1000"))
    await compare_feed({str(each["id"]) for each in people}, result)
    return result


def compare(ledger: Ledger, users: Sequence[Resource], groups: Sequence[Resource]) -> Audit:
    """Compare all existing users and groups with the ledger."""
    result = Audit()
    people, teams = _by_name(users, "userName"), _by_name(groups, "displayName")
    by_id = {account.user_id: account for account in ledger.accounts if account.user_id}
    for account in ledger.accounts:
        _audit_account(account, people.pop(account.person.user_name, []), result)
    for team in ledger.teams:
        _audit_team(team, teams.pop(team.group.display_name, []), by_id, result)
    for unexpected, kind in ((people, "people"), (teams, "groups")):
        if unexpected:
            result.wrong[f"{kind} that were never sent"] += len(unexpected)
    return result


async def read_each(driver: Driver) -> Audit:
    """Read everybody by id: existing people must be found, deleted ones must not."""
    result, accounts = Audit(), iter(driver.ledger.accounts)

    async def read() -> None:
        for account in accounts:
            if account.existence is Existence.UNKNOWN:
                continue
            resource = await _get(driver, account.user_id)
            result.checked += 1
            if account.existence is Existence.DELETED:
                result.wrong["200 for a deleted person"] += resource is not None
            elif resource is None:
                result.lost["404 for an existing person"] += 1
            else:
                result.wrong.update(account.faults(resource))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(READERS):
            tasks.create_task(read())
    return Audit(result.checked, lost=+result.lost, wrong=+result.wrong)


def _audit_account(account: Account, resources: Sequence[Resource], result: Audit) -> None:
    if len(resources) > 1:
        result.duplicated["people"] += 1
    elif account.existence is Existence.EXISTS and not resources:
        result.lost["a person"] += 1
    elif account.existence is Existence.EXISTS:
        result.lost.update(account.faults(resources[0]))
    elif account.existence is Existence.DELETED and resources:
        result.lost["a deletion"] += 1
    elif resources and not account.was_sent:
        result.wrong["a person that was never sent"] += 1


def _audit_team(
    team: Team, resources: Sequence[Resource], by_id: Mapping[str, Account], result: Audit
) -> None:
    if len(resources) > 1:
        result.duplicated["groups"] += 1
    elif team.existence is Existence.EXISTS and not resources:
        result.lost["a group"] += 1
    elif team.existence is Existence.EXISTS:
        (resource,) = resources
        if resource["id"] != team.group_id:
            result.wrong["a group has another id"] += 1
        members = [str(each["value"]) for each in resource.get("members", ())]
        _audit_members(team, members, by_id, result)
    elif resources and not team.was_sent:
        result.wrong["a group that was never sent"] += 1


def _audit_members(
    team: Team, members: Sequence[str], by_id: Mapping[str, Account], result: Audit
) -> None:
    member_ids = set(members)
    if len(members) != len(member_ids):
        result.duplicated["members"] += 1
    if member_ids - team.members.keys():
        result.wrong["members that were never sent"] += 1
    for user_id, allowed in team.members.items():
        existence, is_member = by_id[user_id].existence, user_id in member_ids
        if existence is Existence.DELETED and is_member:
            result.lost["a deletion, as a member"] += 1
        elif existence is Existence.EXISTS and is_member not in allowed:
            result.lost["a membership"] += 1


def _by_name(resources: Sequence[Resource], attribute: str) -> dict[str, list[Resource]]:
    result: dict[str, list[Resource]] = {}
    for each in resources:
        result.setdefault(each[attribute], []).append(each)
    return result


async def _all(driver: Driver, path: str) -> list[Resource]:
    """All resources of a type, read page by page."""
    found: list[Resource] = []
    cursor = ""
    while True:
        body = await _read(driver, f"{path}&cursor={cursor}")
        found += body.get("Resources", [])
        cursor = body.get("nextCursor", "")
        if not cursor:
            return found


async def _get(driver: Driver, user_id: str) -> Resource | None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                return await driver.client.get(user_id)
            except (RequestError, aiohttp.ClientError, OSError):
                await asyncio.sleep(0.2)


async def _read(driver: Driver, path: str) -> Resource:
    """GET a path; repeats the request until the status is 200."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                response = await driver.client.send("GET", path)
            except (aiohttp.ClientError, OSError):
                response = None
            if response is not None and response.status == 200:
                return response.body
            await asyncio.sleep(0.2)
