"""Reads back everything there is, once nothing is broken, and compares it with the ledger."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from tools.chaos.driver import Driver
from tools.chaos.ledger import Account, Ledger, Life, Team
from tools.entra.client import RequestError, Resource

READERS = 16
LIMIT_SECONDS = 60.0


@dataclass
class Audit:
    """What is not as it was acknowledged, of so many people who were asked for by id."""

    asked: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    twice: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


async def audit(driver: Driver) -> Audit:
    """Compare all people, groups and members that lists tell with what was acknowledged."""
    people = await _all(driver, "/Users?count=1000")
    return compare(driver.ledger, people, await _all(driver, "/Groups?count=1000"))


def compare(ledger: Ledger, users: Sequence[Resource], groups: Sequence[Resource]) -> Audit:
    """What of some users and groups, which are all there are, must not be, or is missing."""
    result = Audit()
    people, teams = _by_name(users, "userName"), _by_name(groups, "displayName")
    by_id = {account.user_id: account for account in ledger.accounts if account.user_id}
    for account in ledger.accounts:
        _look_at(account, people.pop(account.person.user_name, []), result)
    for team in ledger.teams:
        _look_at_team(team, teams.pop(team.group.display_name, []), by_id, result)
    for strangers, what in ((people, "people whom"), (teams, "groups that")):
        if strangers:
            result.wrong[f"{what} nobody sent"] += len(strangers)
    return result


async def read_each(driver: Driver) -> Audit:
    """Ask for everybody by id: who is there must be found, and who was deleted must not."""
    result, waiting = Audit(), iter(driver.ledger.accounts)

    async def read() -> None:
        for account in waiting:
            if account.life is Life.UNKNOWN:
                continue
            resource = await _get(driver, account.user_id)
            result.asked += 1
            if account.life is Life.GONE:
                result.wrong["200 for somebody who was deleted"] += resource is not None
            elif resource is None:
                result.lost["404 for somebody who is there"] += 1
            else:
                result.wrong.update(account.faults(resource))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(READERS):
            tasks.create_task(read())
    return Audit(result.asked, lost=+result.lost, wrong=+result.wrong)


def _look_at(account: Account, resources: Sequence[Resource], result: Audit) -> None:
    if len(resources) > 1:
        result.twice["people"] += 1
    elif account.life is Life.THERE and not resources:
        result.lost["a person"] += 1
    elif account.life is Life.THERE:
        result.lost.update(account.faults(resources[0]))
    elif account.life is Life.GONE and resources:
        result.lost["a deletion"] += 1
    elif resources and not account.was_sent:
        result.wrong["somebody whom nobody sent"] += 1


def _look_at_team(
    team: Team, resources: Sequence[Resource], by_id: Mapping[str, Account], result: Audit
) -> None:
    if len(resources) > 1:
        result.twice["groups"] += 1
    elif team.life is Life.THERE and not resources:
        result.lost["a group"] += 1
    elif team.life is Life.THERE:
        (resource,) = resources
        if resource["id"] != team.group_id:
            result.wrong["a group has another id"] += 1
        members = [str(each["value"]) for each in resource.get("members", ())]
        _look_at_members(team, members, by_id, result)
    elif resources and not team.was_sent:
        result.wrong["a group that nobody sent"] += 1


def _look_at_members(
    team: Team, members: Sequence[str], by_id: Mapping[str, Account], result: Audit
) -> None:
    there = set(members)
    if len(members) != len(there):
        result.twice["members"] += 1
    if there - team.members.keys():
        result.wrong["members whom nobody sent"] += 1
    for user_id, allowed in team.members.items():
        life, is_member = by_id[user_id].life, user_id in there
        if life is Life.GONE and is_member:
            result.lost["a deletion, as a member"] += 1
        elif life is Life.THERE and is_member not in allowed:
            result.lost["a membership"] += 1


def _by_name(resources: Sequence[Resource], attribute: str) -> dict[str, list[Resource]]:
    result: dict[str, list[Resource]] = {}
    for each in resources:
        result.setdefault(each[attribute], []).append(each)
    return result


async def _all(driver: Driver, path: str) -> list[Resource]:
    """All resources of a kind, read page by page."""
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
    """What is at a path, once the system answers."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                answer = await driver.client.send("GET", path)
            except (aiohttp.ClientError, OSError):
                answer = None
            if answer is not None and answer.status == 200:
                return answer.body
            await asyncio.sleep(0.2)
