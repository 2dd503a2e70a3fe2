"""Fills a region with many organizations and measures it."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.support.stack import running_stack
from tools.benchmarks.organizations import (
    custom_schemas,
    many_organizations,
    portal_pages,
    single_organization,
    snapshot,
    statements,
)
from tools.benchmarks.organizations.filling import fill
from tools.benchmarks.organizations.results import Result, Results, line
from tools.benchmarks.organizations.rounds import Plan
from tools.benchmarks.organizations.sizes import Sizes
from tools.benchmarks.organizations.tenant import Tenants, tenants


async def measure(
    folder: Path, sizes: Sizes, plan: Plan, log: Callable[[str], None]
) -> dict[str, object]:
    """Fill the databases and measure. Raises OSError if the folder's disk has too little space."""
    free = shutil.disk_usage(folder).free
    if free < sizes.disk_bytes:
        raise OSError(
            f"{folder} has {free / 1e9:.0f} GB of free space; {sizes.disk_bytes / 1e9:.0f} GB are"
            " needed. Set TMPDIR to a folder on another disk."
        )
    log(
        f"filling {sizes.organizations:,} organizations, one of {sizes.large_people:,} people, and"
        f" {sizes.changes:,} changes"
    )
    with running_stack(folder) as stack:
        began = time.monotonic()
        organizations = await fill(stack, sizes, log)
        seconds = time.monotonic() - began
        log(f"filled in {seconds:.0f} s")
        results = await _measure(tenants(stack, sizes, organizations), plan, log)
    return {
        "sizes": asdict(sizes) | {"large_entries": sizes.large_entries},
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "filled_seconds": round(seconds),
        "measured_seconds": round(time.monotonic() - began - seconds),
        **results.as_json(),
    }


async def _measure(subjects: Tenants, plan: Plan, log: Callable[[str], None]) -> Results:
    results = Results()

    def add(result: Result) -> None:
        results.add(result)
        log(line(result))

    began = time.monotonic()
    memory = await many_organizations.measure(subjects, plan, add)
    await single_organization.measure(subjects, plan, add)
    await portal_pages.measure(subjects, plan, add)
    await snapshot.measure(subjects, plan, add)
    await statements.measure(subjects, add)
    await many_organizations.growth(subjects, plan, memory, began, add)
    await custom_schemas.measure(subjects, add)
    return results
