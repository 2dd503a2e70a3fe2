"""Fixtures for tests that see the service as its users do."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.browser import Browser, open_browser
from tests.support.operators import Operator, operator
from tests.support.scim import Client, client
from tests.support.single_sign_on import SsoOrganization
from tests.support.stack import Stack, running_stack


@pytest.fixture
async def scim(tenant: Stack) -> AsyncIterator[Client]:
    """Sends requests to the running region with its key."""
    async with client(tenant) as sender:
        yield sender


@pytest.fixture
async def operate(tenant: Stack) -> AsyncIterator[Operator]:
    """Makes organizations and keys in the running region."""
    async with operator(tenant) as services:
        yield services


@pytest.fixture(scope="session")
def eu_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The other region, running beside."""
    with running_stack(tmp_path_factory.mktemp("run"), "eu") as stack:
        yield stack


@pytest.fixture
async def browser(tenant: Stack) -> AsyncIterator[Browser]:
    """A browser at the running region."""
    async with open_browser(tenant.base_url) as opened:
        yield opened


@pytest.fixture
async def sso_org(operate: Operator) -> SsoOrganization:
    """A new organization, whose people sign in through its identity provider."""
    made = SsoOrganization(operate, await operate.organization())
    await made.activate()
    return made
