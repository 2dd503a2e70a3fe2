"""Measures the cost of growth: the same requests to a small and a large organization, in turns."""

import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import aiohttp
import asyncpg

from tools.benchmarks.client import Bound, Check, Item, drive, request
from tools.benchmarks.service import SAMPLE_USERS, Region, service
from tools.benchmarks.work import Work

SMALL_PEOPLE, SMALL_GROUP = 1_000, 10
PAGE = 100


@dataclass(frozen=True)
class Growth:
    """The measurements of one request at two sizes."""

    what: str
    small: str
    large: str
    connections: int
    small_rate: float
    large_rate: float
    small_cpu: float
    """CPU microseconds per request, of all processes and the database."""
    large_cpu: float
    wrong: int

    @property
    def ratio(self) -> float:
        """The rate at the large size relative to the small one."""
        return self.large_rate / self.small_rate


@dataclass(frozen=True)
class Plan:
    """The large sizes, and how long to measure."""

    people: int
    group: int
    rounds: int
    seconds: float


async def measure(folder: Path, plan: Plan, log: Callable[[str], None]) -> dict[str, object]:
    """Measure a filter, pages of a list and a change of members, each at two sizes."""
    async with _service(folder / "small", SMALL_PEOPLE) as small:
        log(f"starting the service with {plan.people:,} people")
        async with _service(folder / "large", plan.people) as large:
            growths = [await _filter(small, large, plan)]
            log(line(growths[-1]))
            log(f"walking through {plan.people:,} people, {PAGE} at a time")
            walk = await _walk(large, plan.people)
            log(f"{walk.pages:,} pages in {walk.seconds:.0f} s")
            growths.append(await _page(large, walk, plan))
            log(line(growths[-1]))
            for connections in (1, 32):
                growths.append(await _member(large, connections, plan))
                log(line(growths[-1]))
    return {
        "people": plan.people,
        "group": plan.group,
        "rounds": plan.rounds,
        "growths": [asdict(growth) for growth in growths],
        "walk": {"pages": walk.pages, "seconds": round(walk.seconds, 1)},
    }


def line(growth: Growth) -> str:
    """A measurement as text."""
    return (
        f"{growth.what:<12} {growth.connections:>3}"
        f"  {growth.small:>20} {growth.small_rate:>8,.0f}/s {growth.small_cpu:>8,.0f} µs"
        f"  {growth.large:>20} {growth.large_rate:>8,.0f}/s {growth.large_cpu:>8,.0f} µs"
        f"  {growth.ratio:.2f}" + (f"  {growth.wrong} wrong" if growth.wrong else "")
    )


@asynccontextmanager
async def _service(folder: Path, people: int) -> AsyncIterator[Region]:
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs
    async with service(folder, people) as region:
        yield region


async def _filter(small: Region, large: Region, plan: Plan) -> Growth:
    return await _measure_in_turns(
        ("filter", f"{SMALL_PEOPLE:,} people", f"{plan.people:,} people"),
        (small, small.server.work.filter),
        (large, large.server.work.filter),
        plan,
        32,
    )


async def _page(large: Region, walk: "_Walk", plan: Plan) -> Growth:
    work = large.server.work
    return await _measure_in_turns(
        ("cursor page", "the first", f"the last of {walk.pages:,}"),
        (large, lambda: _pages(work, "", _full_page)),
        (large, lambda: _pages(work, walk.last_cursor, _last_page)),
        plan,
        1,
    )


async def _member(large: Region, connections: int, plan: Plan) -> Growth:
    in_group = 1 if connections == 1 else 2 * connections
    small_group = await _group(large, SMALL_GROUP, in_group)
    large_group = await _group(large, plan.group, in_group)
    return await _measure_in_turns(
        ("member", f"a group of {SMALL_GROUP}", f"a group of {plan.group:,}"),
        (large, small_group.member),
        (large, large_group.member),
        plan,
        connections,
    )


async def _measure_in_turns(
    names: tuple[str, str, str],
    small: tuple[Region, Callable[[], Iterator[Item]]],
    large: tuple[Region, Callable[[], Iterator[Item]]],
    plan: Plan,
    connections: int,
) -> Growth:
    measured: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    wrong = 0
    for round_ in range(plan.rounds + 1):  # the first round warms up
        for (region, work), rounds in zip((small, large), measured, strict=True):
            server, before = region.server, region.server.cpu()
            bound = Bound(1_000_000, plan.seconds)
            sample = await drive(server.address, connections, work(), bound)
            wrong += sample.wrong
            if round_:
                cpu = (server.cpu() - before) / len(sample.latencies) * 1e6
                rounds.append((sample.rate, cpu))
    rates = [round(statistics.median(rate for rate, _ in rounds), 2) for rounds in measured]
    cpus = [round(statistics.median(cpu for _, cpu in rounds), 1) for rounds in measured]
    return Growth(*names, connections, *rates, *cpus, wrong)


# --- pages ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Walk:
    pages: int
    seconds: float
    last_cursor: str


async def _walk(region: Region, people: int) -> _Walk:
    """Read the whole list by cursor. Fails if a person is missing."""
    work, began = region.server.work, time.perf_counter()
    headers = {"Authorization": f"Bearer {work.token}"}
    cursor, pages, found = "", 0, 0
    async with aiohttp.ClientSession(f"http://{work.host}", headers=headers) as session:
        while True:
            async with session.get(_path(work, cursor)) as response:
                body = await response.read()
            pages += 1
            found += body.count(b'"userName"')
            next_cursor = re.search(rb'"nextCursor":"([^"]+)"', body)
            if next_cursor is None:
                break
            cursor = next_cursor[1].decode()
    assert found == people, f"{found} of {people} people were returned: {body[:300]!r}"
    return _Walk(pages, time.perf_counter() - began, cursor)


def _pages(work: Work, cursor: str, check: Check) -> Iterator[Item]:
    sent = request("GET", _path(work, cursor), work.host, work.token)
    while True:
        yield sent, check


def _path(work: Work, cursor: str) -> str:
    return f"{work.prefix}/Users?cursor={cursor}&count={PAGE}"


def _full_page(status: int, body: bytes) -> bool:
    return status == 200 and body.count(b'"userName"') == PAGE and b'"nextCursor"' in body


def _last_page(status: int, body: bytes) -> bool:
    return status == 200 and body.count(b'"userName"') == PAGE and b'"nextCursor"' not in body


# --- groups -----------------------------------------------------------------------------


async def _group(region: Region, size: int, in_group: int) -> Work:
    """Create a group of `size` members; returns the requests that add and remove other people."""
    work = region.server.work
    headers = {"Authorization": f"Bearer {work.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(region.stack.url + "/Groups", json={"displayName": f"{size}"}) as response,
    ):
        group = (await response.json(content_type=None))["id"]
    connection = await asyncpg.connect(region.database)
    await connection.execute(
        "INSERT INTO group_users (organization_id, group_id, user_id)"
        " SELECT $1, $2::uuid, user_id FROM users WHERE organization_id = $1"
        "  ORDER BY user_id LIMIT $3",
        region.organization_id,
        group,
        size,
        timeout=600,
    )
    await connection.execute("VACUUM ANALYZE group_users", timeout=600)
    non_members = await connection.fetch(
        "SELECT user_id, user_name FROM users WHERE organization_id = $1"
        " ORDER BY user_id DESC LIMIT $2",
        region.organization_id,
        SAMPLE_USERS,
    )
    await connection.close()
    people = [(str(user_id), name) for user_id, name in non_members]
    return replace(work, group=group, people=people, in_group=in_group, _members=deque())
