"""A keysvc of one region with a database of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from chassis.database import migrations
from keysvc.__main__ import MIGRATIONS
from tests.support.keysvc.replicas import MovableClock, Replica, running_replica
from tests.support.postgres import Template, TestPostgres


def migrate(url: str) -> None:
    asyncio.run(migrations.apply(url, migrations.read(MIGRATIONS)))


@pytest.fixture(scope="session")
def keys_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("keys", migrate)


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
