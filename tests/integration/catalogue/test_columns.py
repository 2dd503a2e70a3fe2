"""Every column is classified by whether it can contain personal data."""

from pathlib import Path

import asyncpg
import pytest

from chassis.database import migrations
from tests.support.catalogue.columns import NON_PERSONAL, PERSONAL, columns, pairs
from tests.support.postgres import TestPostgres

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("service", PERSONAL)
async def test_each_column_is_classified_as_personal_or_not(
    service: str, postgres_cluster: TestPostgres
):
    personal, non_personal = pairs(PERSONAL[service]), pairs(NON_PERSONAL[service])
    with postgres_cluster.template(f"columns_{service}", lambda _: None).database() as url:
        await migrations.apply(url, migrations.read(ROOT / service / "store" / "migrations"))
        db = await asyncpg.connect(url)
        found = await columns(db)
        await db.close()

    assert personal & non_personal == set()
    assert found == personal | non_personal
