"""This service passes the public SCIM compliance suites."""

import asyncio

import pytest

from tests.conformance.suites import SUITES
from tests.support.operators import operator
from tests.support.stack import Stack

# Checks of the resource type Agent, a draft extension that this service does not support.
UNSUPPORTED = ("Agent",)
LEAST = {
    "scim2-cli": 20,
    "scim-sanity": 20,
    "scim2-client": 19,
    "Okta's tests": 8,
    "scim-validator": 87,
}
"""The fewest checks of a suite: one that finds nothing to check must not pass."""


@pytest.mark.parametrize("suite", SUITES)
async def test_compliance_suite_passes_every_check(suite: str, tenant: Stack):
    # A separate organization: the suites expect the resources they create on the first page.
    async with operator(tenant) as operate:
        generated = await operate.generate_key(await operate.create_organization())

    checks = await asyncio.to_thread(SUITES[suite], tenant.url, generated.token)

    failures = [
        check
        for check in checks
        if check.outcome != "passed" and not check.name.startswith(UNSUPPORTED)
    ]
    assert failures == []
    assert len(checks) >= LEAST[suite]
