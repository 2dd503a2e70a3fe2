"""Databases of both services, with the newest schema or without tables."""

from collections.abc import Iterator, Mapping

import pytest

from tests.support.databases import migrate_keysvc, migrate_usersvc
from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def templates(postgres_cluster: TestPostgres) -> Mapping[str, Template]:
    """The templates `usersvc` and `keysvc`, with the newest schema, and `empty`."""
    return {
        "usersvc": postgres_cluster.template("users", migrate_usersvc),
        "keysvc": postgres_cluster.template("keys", migrate_keysvc),
        "empty": postgres_cluster.template("migrations", lambda _: None),
    }


@pytest.fixture
def users_url(templates: Mapping[str, Template]) -> Iterator[str]:
    with templates["usersvc"].database() as url:
        yield url


@pytest.fixture
def keys_url(templates: Mapping[str, Template]) -> Iterator[str]:
    with templates["keysvc"].database() as url:
        yield url


@pytest.fixture
def empty_url(templates: Mapping[str, Template]) -> Iterator[str]:
    """A database without tables, to which a test applies migrations."""
    with templates["empty"].database() as url:
        yield url
