"""A keysvc of one region with its own database."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.databases import migrate_keysvc
from tests.support.keysvc.replicas import MovableClock, Replica, running_replica
from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def keys_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("keys", migrate_keysvc)


@pytest.fixture
def keys_url(keys_template: Template) -> Iterator[str]:
    with keys_template.database() as url:
        yield url


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def keysvc(keys_url: str, clock: MovableClock) -> AsyncIterator[Replica]:
    async with running_replica(keys_url, clock) as replica:
        yield replica
