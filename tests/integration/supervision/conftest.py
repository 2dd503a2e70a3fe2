"""Databases of both services."""

import asyncio
from collections.abc import Iterator

import pytest

from chassis.database import migrations
from keysvc.__main__ import MIGRATIONS as OF_KEYS
from tests.support.postgres import Template, TestPostgres
from usersvc.__main__ import MIGRATIONS as OF_USERS


@pytest.fixture(scope="session")
def users_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("users", lambda url: _migrate(url, OF_USERS))


@pytest.fixture(scope="session")
def keys_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("keys", lambda url: _migrate(url, OF_KEYS))


def _migrate(url: str, folder: object) -> None:
    asyncio.run(migrations.apply(url, migrations.read(folder)))


@pytest.fixture
def users_url(users_template: Template) -> Iterator[str]:
    with users_template.database() as url:
        yield url


@pytest.fixture
def keys_url(keys_template: Template) -> Iterator[str]:
    with keys_template.database() as url:
        yield url
