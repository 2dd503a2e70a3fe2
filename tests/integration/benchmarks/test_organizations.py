"""A very short run of the benchmark of many organizations, against the real service."""

from pathlib import Path

import asyncpg
import pytest

from tests.support.stack import running_stack
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.filling import fill
from tools.benchmarks.organizations.measure import measure
from tools.benchmarks.organizations.rounds import Plan
from tools.benchmarks.organizations.sizes import Sizes

TOPICS = [value for name, value in vars(topics).items() if name.isupper()]

SIZES = Sizes(organizations=60, large_people=4_000, changes=20_000)


@pytest.mark.timeout(300)
async def test_every_topic_is_printed_without_wrong_responses(bench_folder: Path):
    lines: list[str] = []
    plan = Plan(rounds=1, seconds=0.1, repetitions=2, bulk_operations=20)

    figures = await measure(bench_folder, SIZES, plan, lines.append)

    results = [*figures["comparisons"], *figures["readings"]]
    assert [each for each in results if each["wrong"]] == []
    assert {each["topic"] for each in results} == set(TOPICS)
    assert [topic for topic in TOPICS if not any(line.startswith(topic) for line in lines)] == []
    assert [each for each in figures["comparisons"] if each["rate"] <= 0] == []


@pytest.mark.timeout(120)
async def test_filled_log_has_every_entry_of_30_days(bench_folder: Path):
    with running_stack(bench_folder) as stack:
        large, *_ = (await fill(stack, SIZES, lambda _: None)).ids
        db = await asyncpg.connect(stack.database_url("users"))
        entries = await db.fetchval(_ENTRIES, large)
        filled = await db.fetchrow(_FILLED)
        await db.close()

    assert entries == SIZES.large_entries
    assert tuple(filled) == (SIZES.changes, 0)


_ENTRIES = """
    SELECT (SELECT count(*) FROM changes WHERE organization_id = $1)
           + (SELECT count(*) FROM refusals WHERE organization_id = $1)
"""

# The region's own first changes have no API key.
_FILLED = """
    SELECT count(*), count(*) FILTER (
               WHERE number NOT BETWEEN change_number_at(create_time)
                                    AND change_number_at(create_time + interval '1 minute')
                  OR create_time NOT BETWEEN now() - interval '31 days' AND now())
      FROM changes
     WHERE key_id IS NOT NULL
"""
