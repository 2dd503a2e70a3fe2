"""Databases without a schema, as input of migrations."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def empty(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("migrations", lambda _: None)


@pytest.fixture
def url(empty: Template) -> Iterator[str]:
    with empty.database() as url:
        yield url
