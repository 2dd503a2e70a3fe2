"""Fixtures for tests that see the service as its users do."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.end_to_end.operators import Operator, operator
from tests.end_to_end.scim import Client, client
from tests.stack import Stack, running_stack


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
