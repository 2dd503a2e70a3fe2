"""Complete provisioning cycles of the client in tools/entra against the running service."""

from dataclasses import replace

import pytest

from tests.support.stack import Stack
from tools.entra.cycle import Options, run
from tools.entra.dialects import Dialect

PEOPLE = 60


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_users_match_the_directory_after_all_cycles(dialect: Dialect, tenant: Stack) -> None:
    seed = 100 + list(Dialect).index(dialect)
    options = Options(tenant.url, tenant.token, people=PEOPLE, seed=seed, dialect=dialect)

    summary = await run(options)

    assert summary.reasons == ()
    assert summary.stopped is None
    assert (summary.created, summary.matched) == (PEOPLE + 1, 0)
    assert (summary.updated, summary.disabled, summary.restored, summary.deleted) == (6, 3, 1, 1)
    assert summary.verified == summary.people == PEOPLE + 1


async def test_second_initial_cycle_creates_only_the_deleted_user(tenant: Stack) -> None:
    options = Options(tenant.url, tenant.token, people=PEOPLE, seed=200)
    await run(options)

    summary = await run(options)

    assert summary.reasons == ()
    assert (summary.created, summary.matched) == (1, PEOPLE)
    assert summary.verified == PEOPLE + 1


async def test_refused_token_ends_the_run_with_the_reason(tenant: Stack) -> None:
    options = Options(tenant.url, tenant.token, people=PEOPLE, seed=300)

    summary = await run(replace(options, token="not-a-key"))

    assert summary.stopped is not None
    assert summary.stopped.startswith("401: ")
    assert (summary.created, summary.requests) == (0, 1)
