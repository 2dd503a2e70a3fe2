"""Fixtures that tests of every level share."""

from collections.abc import Iterator

import pytest

from tests.postgres import TestPostgres, throw_away_postgres


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[TestPostgres]:
    """One PostgreSQL for the whole session; take databases from its templates."""
    with throw_away_postgres() as postgres:
        yield postgres
