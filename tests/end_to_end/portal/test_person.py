"""The page of a person in many groups."""

from uuid import UUID

import asyncpg
import pytest

from gateway.portal.views.people import MAX_PERSON_GROUPS
from tests.support.browser import Browser
from tests.support.operators import Operator
from tests.support.portal_organization import PortalOrganization, create_portal_organization
from tests.support.stack import Stack


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


async def add_to_groups(portal_org: PortalOrganization, user_id: str, number: int) -> None:
    """Add a user to new groups."""
    database = await asyncpg.connect(portal_org.tenant.database_url("users"))
    await database.execute(
        """
        WITH added AS (
            INSERT INTO groups (organization_id, create_time, update_time, display_name)
            SELECT $1, now(), now(), 'Team ' || n FROM generate_series(1, $3) AS n
            RETURNING organization_id, group_id
        )
        INSERT INTO group_users SELECT organization_id, group_id, $2 FROM added
        """,
        UUID(portal_org.organization_id), UUID(user_id), number,
    )  # fmt: skip
    await database.close()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "Not in any group."),
        (1, "In 1 group:"),
        (MAX_PERSON_GROUPS, "In 200 groups:"),
        (MAX_PERSON_GROUPS + 1, "In more than 200 groups. 200 of them:"),
    ],
)
async def test_person_page_shows_a_bounded_number_of_groups(
    browser: Browser, portal_org: PortalOrganization, number: int, text: str
):
    person = await portal_org.create_person(display_name="Ann")
    await add_to_groups(portal_org, person.id, number)
    await portal_org.sign_in(browser)

    page = await browser.get(f"/people/{person.id}")

    assert page.status == 200
    assert text in page.text
    assert page.text.count(">Team ") == min(number, MAX_PERSON_GROUPS)
    assert "moreGroups" not in page.text
