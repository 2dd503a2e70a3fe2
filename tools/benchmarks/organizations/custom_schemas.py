"""Measures the memory for organizations with as many custom schemas as possible."""

from collections.abc import Callable

from tools.benchmarks.client import Bound, drive
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.schemas_sql import ATTRIBUTES, SCHEMAS
from tools.benchmarks.organizations.tenant import Tenants
from tools.benchmarks.processes import resident_bytes

Add = Callable[[Result], None]


async def measure(tenants: Tenants, add: Add) -> None:
    """Measure how much the gateway grows when it reads the schemas of all these organizations."""
    gateway = tenants.stack.pid("gateway")
    first = 1 + tenants.sizes.organizations
    numbers = range(first, first + tenants.sizes.with_schemas)
    works = [tenants.of_organization(number, (30,)).work for number in numbers]
    before = resident_bytes(gateway)
    items = (next(work.get()) for work in works)
    sample = await drive(tenants.small.address, 1, items, Bound(len(works), 120))
    add(
        Reading(
            topics.SCHEMAS,
            f"gateway, growth by {len(works)} organizations",
            round((resident_bytes(gateway) - before) / 1e6, 1),
            "MB",
            note=f"{SCHEMAS} schemas of {ATTRIBUTES} attributes each",
            wrong=sample.wrong,
            first_wrong=sample.first_wrong,
        )
    )
