"""A very short run of the benchmark, against the real service."""

from pathlib import Path

from tools.benchmarks.client import Bound
from tools.benchmarks.comparison import Plan, compare
from tools.benchmarks.service import service
from tools.benchmarks.work import OPERATIONS

LIMITS = {
    "aiohttp": {"get"},
    "asyncpg": {"get", "filter", "create"},
    "asyncpg, and the log": {"create"},
    "pgbench": {"get", "filter", "create"},
    "pgbench, and the log": {"create"},
}


async def test_every_subject_gives_only_correct_responses(bench_folder: Path):
    plan = Plan(
        people=100,
        rounds=1,
        bound=Bound(40, 0.2),
        operations=OPERATIONS,
        peers=(),
        connections=(8,),
    )

    result = await compare(bench_folder, plan, log=lambda _: None)

    measured: dict[str, set[str]] = {}
    for row in result.rows:
        measured.setdefault(row.subject, set()).add(row.operation)
    every = set(OPERATIONS)
    assert measured == {"service": every, "without the hop": every, **LIMITS}
    assert {row.subject: row.first_wrong for row in result.rows if row.wrong} == {}
    assert [row for row in result.rows if row.rate <= 0 or row.requests == 0] == []
    assert result.left_out == []


async def test_wrong_responses_of_service_are_counted(bench_folder: Path):
    async with service(bench_folder, people=20) as region:
        work = region.server.work
        correct = await region.server.run("get", 4, Bound(20, 10))
        work.people = [(user_id, f"not-{name}") for user_id, name in work.people]
        mismatched = await region.server.run("get", 4, Bound(20, 10))
        work.token = "cak_us_nobody"
        refused = await region.server.run("patch", 4, Bound(20, 10))

    assert (correct.wrong, mismatched.wrong, refused.wrong) == (0, 20, 20)
    assert mismatched.rate == refused.rate == 0
    assert refused.first_wrong.startswith("401")
