"""Databases without tables, to which the tests apply migrations."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Template, TestPostgres


@pytest.fixture(scope="session")
def empty_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("migrations", lambda _: None)


@pytest.fixture
def url(empty_template: Template) -> Iterator[str]:
    with empty_template.database() as url:
        yield url
