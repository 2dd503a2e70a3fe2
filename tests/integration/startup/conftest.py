"""Databases of both services, with the newest schema or empty."""

from collections.abc import Iterator

import pytest

from tests.support.databases import migrate_keysvc, migrate_usersvc
from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def templates(postgres_cluster: TestPostgres) -> dict[str, Template]:
    return {
        "usersvc": postgres_cluster.template("users", migrate_usersvc),
        "keysvc": postgres_cluster.template("keys", migrate_keysvc),
        "empty": postgres_cluster.template("migrations", lambda _: None),
    }


@pytest.fixture
def users_url(templates: dict[str, Template]) -> Iterator[str]:
    with templates["usersvc"].database() as url:
        yield url


@pytest.fixture
def keys_url(templates: dict[str, Template]) -> Iterator[str]:
    with templates["keysvc"].database() as url:
        yield url
