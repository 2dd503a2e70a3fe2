"""Measures operations of the large organization beside the same of a small one."""

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from tools.benchmarks.client import Item
from tools.benchmarks.organizations import requests, topics
from tools.benchmarks.organizations.people import LARGE, LARGEST_GROUP, group_id, user_id
from tools.benchmarks.organizations.people_sql import BUSY_PEOPLE
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.rounds import Plan, Question, Side, compare, latency
from tools.benchmarks.organizations.tenant import SMALL, Tenants
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work

MOST_DELETE_MS: Final = 5.0
MOST_BULK_MICROSECONDS: Final = 600.0
FILTER_IDS: Final = 200

Add = Callable[[Result], None]
ItemsOf = Callable[[Work], Iterator[Item]]


async def measure(tenants: Tenants, plan: Plan, add: Add) -> None:
    """Measure all operations of one organization."""
    await _operations(tenants, plan, add)
    await _deletion(tenants, plan, add)
    await _busy_users(tenants, plan, add)
    await _filter_of_ids(tenants, plan, add)
    await _bulk(tenants, plan, add)


async def _operations(tenants: Tenants, plan: Plan, add: Add) -> None:
    kinds: tuple[tuple[str, ItemsOf], ...] = (
        ("get", Work.get),
        ("filter", Work.filter),
        ("page by cursor", requests.pages),
        ("PATCH", Work.patch),
        ("member", Work.member),
        ("mix", Work.mix),
        ("create", Work.create),
    )
    for what, items in kinds:
        add(await _large_and_small(tenants, Question(topics.LARGE, what), items, plan))
    add(await _nesting(tenants, plan))
    add(await _largest_group(tenants, plan))
    question = Question(topics.EMAIL, "PATCH e-mail")
    add(await _large_and_small(tenants, question, requests.email_changes, plan))


async def _large_and_small(
    tenants: Tenants, question: Question, items: ItemsOf, plan: Plan
) -> Result:
    large, small = tenants.large, tenants.small
    return await compare(
        question,
        Side("the large organization", large, items(large.work)),
        Side("a small organization", small, items(small.work)),
        plan,
    )


async def _nesting(tenants: Tenants, plan: Plan) -> Result:
    large, small = tenants.large, tenants.small
    return await compare(
        Question(topics.LARGE, "nest a group (1 connection)"),
        Side("the large organization", large, requests.nestings(large.work, LARGE), 1),
        Side("a small organization", small, requests.nestings(small.work, SMALL), 1),
        plan,
    )


async def _largest_group(tenants: Tenants, plan: Plan) -> Result:
    """Members of the largest group and an ordinary one. Other connections would wait for a lock."""
    large = tenants.large
    work = large.work
    ordinary, largest = (
        Work(
            work.host,
            work.prefix,
            work.token,
            work.people,
            str(group_id(LARGE, number)),
            in_group=1,
        )
        for number in (4, LARGEST_GROUP)
    )
    # Not the people of the sample, many of whom are members.
    first = tenants.sizes.large_people - 50
    largest.people = [(str(user_id(LARGE, first + each)), "") for each in range(50)]
    return await compare(
        Question(topics.LARGE, "member (1 connection)"),
        Side(f"a group of {tenants.sizes.large_group:,}", large, largest.member(), 1),
        Side("a group of 20", large, ordinary.member(), 1),
        plan,
    )


async def _deletion(tenants: Tenants, plan: Plan, add: Add) -> None:
    for name, server, most in (
        ("the large organization", tenants.large, MOST_DELETE_MS),
        ("a small organization", tenants.small, None),
    ):
        count = plan.repetitions * 4
        ids = await requests.create_users(server, count)
        add(
            await latency(
                Reading(topics.DELETE, name, 0, "ms", most),
                server,
                requests.deletions(server.work, ids),
                count,
            )
        )


async def _busy_users(tenants: Tenants, plan: Plan, add: Add) -> None:
    """GET, PATCH and DELETE of users who are in many groups."""
    server, groups = tenants.large, tenants.sizes.groups_of_one_user
    busy = [str(user_id(LARGE, number)) for number in range(1, BUSY_PEOPLE + 1)]
    gets = requests.gets(server.work, itertools.cycle(busy))
    patches = requests.title_changes(server.work, itertools.cycle(busy))
    deletions = requests.deletions(server.work, busy)
    size = await _response_bytes(server, busy[0])
    for method, items, count in (
        ("GET", gets, plan.repetitions),
        ("PATCH", patches, plan.repetitions),
        ("DELETE", deletions, len(busy)),
    ):
        note = f"{size / 1024:,.0f} KiB" if method == "GET" else ""
        reading = Reading(topics.MANY_GROUPS, f"{method}, {groups:,} groups", 0, "ms", note=note)
        add(await latency(reading, server, items, count))


async def _response_bytes(server: Server, user: str) -> int:
    """The size of a user's document."""
    sizes: list[int] = []

    def check(status: int, body: bytes) -> bool:
        sizes.append(len(body))
        return status == 200

    (item,) = itertools.islice(requests.gets(server.work, [user]), 1)
    await latency(Reading("", "", 0, ""), server, iter([(item[0], check)]), 1)
    return sizes[0]


async def _filter_of_ids(tenants: Tenants, plan: Plan, add: Add) -> None:
    server = tenants.large
    ids = [user for user, _ in server.work.people[:FILTER_IDS]]
    reading = Reading(topics.FILTER, "POST /Users/.search", 0, "ms")
    add(await latency(reading, server, requests.search_by_ids(server.work, ids), plan.repetitions))


async def _bulk(tenants: Tenants, plan: Plan, add: Add) -> None:
    """Operations of bulk requests, one request at a time, beside single requests."""
    server, work = tenants.large, tenants.large.work
    size = plan.bulk_operations
    singles = requests.title_changes(work, itertools.cycle(user for user, _ in work.people))
    for what, bulk, single in (
        ("create", requests.bulk_creations(work, size), work.create()),
        ("PATCH", requests.bulk_patches(work, size), singles),
    ):
        comparison = await compare(
            Question(topics.BULK, what, None),
            Side(f"{size} in one request", server, bulk, 1, size),
            Side("32 connections", server, single),
            plan,
        )
        add(comparison)
        microseconds = round(1e6 / comparison.rate, 1) if comparison.rate else 1e6
        add(
            Reading(
                topics.BULK,
                f"{what}, time of one operation",
                microseconds,
                "µs",
                MOST_BULK_MICROSECONDS,
                f"single requests: {1e6 / max(1.0, comparison.reference_rate):,.0f} µs",
            )
        )
