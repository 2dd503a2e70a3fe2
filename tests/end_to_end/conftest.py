"""Fixtures for tests that use the service as its clients do."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.browser import Browser, open_browser
from tests.support.operators import Operator, operator
from tests.support.scim import Client, client
from tests.support.single_sign_on import SsoOrganization
from tests.support.stack import Stack, running_stack


@pytest.fixture
async def scim(tenant: Stack) -> AsyncIterator[Client]:
    """A SCIM client of the running region, with its key."""
    async with client(tenant) as sender:
        yield sender


@pytest.fixture
async def operate(tenant: Stack) -> AsyncIterator[Operator]:
    """The gRPC API of the running region, for example to create organizations and keys."""
    async with operator(tenant) as services:
        yield services


@pytest.fixture(scope="session")
def eu_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A second region, which runs beside the one of `tenant`."""
    with running_stack(tmp_path_factory.mktemp("run"), "eu") as stack:
        yield stack


@pytest.fixture
async def browser(tenant: Stack) -> AsyncIterator[Browser]:
    """A new browser at the running region."""
    async with open_browser(tenant.base_url) as opened:
        yield opened


@pytest.fixture
async def sso_org(operate: Operator) -> SsoOrganization:
    """A new organization, whose users sign in through its identity provider."""
    organization = SsoOrganization(operate, await operate.create_organization())
    await organization.activate()
    return organization
