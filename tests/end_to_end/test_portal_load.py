"""Pages when there is too much of something: what is shown, and who is kept out."""

import asyncpg

from gateway.portal.models.charts import TOO_MANY
from tests.end_to_end.browser import Browser
from tests.end_to_end.office import ENTRA, open_office
from tests.end_to_end.operators import Operator
from tests.stack import Stack


async def test_a_page_is_shown_without_what_takes_too_long_to_count(
    ours: Browser, operate: Operator, tenant: Stack
):
    office = await open_office(operate, tenant)
    await office.sign_in(ours)
    database = await asyncpg.connect(tenant.database_url("users"))
    async with database.transaction():
        await database.execute("LOCK TABLE changes")  # no count comes to its end
        page = await ours.get(ENTRA)
    await database.close()

    assert page.status == 200
    assert TOO_MANY in page.text
    assert "Nothing was changed" not in page.text
