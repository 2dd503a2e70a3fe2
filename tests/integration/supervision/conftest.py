"""Databases of both services."""

from collections.abc import Iterator

import pytest

from tests.support.databases import migrate_keysvc, migrate_usersvc
from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def users_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("users", migrate_usersvc)


@pytest.fixture(scope="session")
def keys_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("keys", migrate_keysvc)


@pytest.fixture
def users_url(users_template: Template) -> Iterator[str]:
    with users_template.database() as url:
        yield url


@pytest.fixture
def keys_url(keys_template: Template) -> Iterator[str]:
    with keys_template.database() as url:
        yield url
