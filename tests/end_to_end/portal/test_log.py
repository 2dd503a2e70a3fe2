"""The log page's live updates, and downloads of the log that end before the log does."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.browser import Browser
from tests.support.operators import Operator
from tests.support.portal_organization import (
    LOG,
    PortalOrganization,
    create_portal_organization,
)
from tests.support.stack import Stack


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


@pytest.fixture
async def signed_in(browser: Browser, portal_org: PortalOrganization) -> Browser:
    for number in range(4):
        await portal_org.create_person(user_name=f"u{number}@corp.test")
    await portal_org.sign_in(browser)
    return browser


async def test_live_update_is_empty_until_the_log_has_a_new_entry(
    signed_in: Browser, portal_org: PortalOrganization
):
    first = await signed_in.get(f"{LOG}/live?q=u3")
    again = await signed_in.get(f"{LOG}/live?q=u3", **{"If-None-Match": first.headers["ETag"]})
    if again.status == 200:  # a new minute began
        first = again
        again = await signed_in.get(f"{LOG}/live?q=u3", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text) == (304, "")
    assert again.headers["ETag"] == first.headers["ETag"]

    await portal_org.create_person(user_name="u39@corp.test")

    newer = await signed_in.get(f"{LOG}/live?q=u3", **{"If-None-Match": first.headers["ETag"]})
    assert newer.status == 200
    assert "u39@corp.test" in newer.text


async def test_ndjson_export_over_its_limit_names_the_address_of_the_rest(signed_in: Browser):
    whole = (await signed_in.get(f"{LOG}.ndjson?q=u")).text.splitlines()
    entries: list[str] = []
    files = 0
    address = f"{LOG}.ndjson?q=u&limit=3"
    while address:
        page = await signed_in.get(address)
        *lines, last = page.text.splitlines()
        address = json.loads(last).get("continue", "")
        entries += lines if address else [*lines, last]
        files += 1

    assert (files, entries) == (2, whole)


async def test_csv_export_over_its_limit_names_the_address_of_the_rest(signed_in: Browser):
    page = await signed_in.get(f"{LOG}.csv?limit=2&q=u")

    *rows, last = csv.reader(io.StringIO(page.text))
    assert (len(rows), last[0]) == (1 + 2, "INCOMPLETE")
    rest = await signed_in.get(last[1].rpartition(" ")[2])
    assert "continued" in rest.headers["Content-Disposition"]
    names = [row[4] for row in [*rows[1:], *list(csv.reader(io.StringIO(rest.text)))[1:]]]
    assert names == ["u3@corp.test", "u2@corp.test", "u1@corp.test", "u0@corp.test"]


async def test_export_and_page_are_limited_to_a_range_of_days(signed_in: Browser):
    today = datetime.now(UTC).date()
    tomorrow, yesterday = today + timedelta(days=1), today - timedelta(days=1)

    async def lines(days: str) -> int:
        return len((await signed_in.get(f"{LOG}.ndjson?q=u&{days}")).text.splitlines())

    assert await lines(f"from={yesterday}&to={tomorrow}") == 4
    assert await lines(f"from={yesterday}") == 4
    assert await lines(f"to={yesterday}") == await lines(f"from={tomorrow}") == 0
    assert await lines("from=0001-01-01&to=9999-12-31") == 4
    assert await lines("from=never&to=2026-02-30") == 4
    page = await signed_in.get(f"{LOG}?from={yesterday}&to={today}")
    assert f'value="{yesterday}"' in page.text
