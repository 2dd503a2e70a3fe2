"""The field's own compliance suites find nothing to complain about."""

import asyncio

import pytest

from tests.conformance.suites import SUITES
from tests.support.operators import operator
from tests.support.stack import Stack

# What the suites know and this service does not offer: drafts of agents.
NOT_OFFERED = ("Agent",)


@pytest.mark.parametrize("suite", SUITES)
async def test_the_suite_passes_every_check(suite: str, tenant: Stack):
    # An organization of its own: the suites look for what they made on the first page of all.
    async with operator(tenant) as operate:
        generated = await operate.key(await operate.organization())

    checks = await asyncio.to_thread(SUITES[suite], tenant.url, generated.token)

    complaints = [
        check
        for check in checks
        if check.outcome != "passed" and not check.name.startswith(NOT_OFFERED)
    ]
    assert complaints == []
    assert len(checks) >= 20
