"""Organizations and their integrations."""

from uuid import UUID

import asyncpg
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.database.constraints import violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import InvalidField
from chassis.rpc.timestamps import to_timestamp
from keysvc.store import keys as key_store
from keysvc.store import organizations as organization_store
from tests.support.keysvc.replicas import MovableClock, Replica, refused

ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
UNKNOWN_ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


async def create(keysvc: Replica, **fields: object) -> pb.Organization:
    request = pb.CreateOrganizationRequest(organization=pb.Organization(**fields))
    return (await keysvc.organizations.CreateOrganization(request)).organization


async def integration(keysvc: Replica, organization_id: str) -> pb.Integration:
    request = pb.GetIntegrationRequest(organization_id=organization_id)
    return (await keysvc.integrations.GetIntegration(request)).integration


async def test_new_organization_has_id_region_and_inactive_integration(
    keysvc: Replica, clock: MovableClock
):
    created = await create(keysvc, display_name="Ácme 集团")

    request = pb.GetOrganizationRequest(organization_id=created.id)
    assert UUID(created.id).version == 7
    assert created == pb.Organization(
        id=created.id,
        display_name="Ácme 集团",
        region=pb.REGION_US,
        create_time=to_timestamp(clock()),
    )
    assert (await keysvc.organizations.GetOrganization(request)).organization == created
    assert await integration(keysvc, created.id) == pb.Integration(
        organization_id=created.id,
        state=pb.Integration.STATE_INACTIVE,
        update_time=to_timestamp(clock()),
    )


async def test_repeated_creation_of_an_organization_changes_nothing(
    keysvc: Replica, clock: MovableClock
):
    first = await create(keysvc, id=ID, display_name="Acme", region=pb.REGION_US)
    await keysvc.activate(ID)
    before = await integration(keysvc, ID)
    clock.advance(hours=1)

    assert await create(keysvc, id=ID.upper(), display_name="Acme") == first
    assert await integration(keysvc, ID) == before


async def test_organization_id_in_use_with_another_name_is_refused(keysvc: Replica):
    await create(keysvc, id=ID, display_name="Acme")

    with refused("ORGANIZATION_EXISTS"):
        await create(keysvc, id=ID, display_name="Initech")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"display_name": "x" * 201},
        {"display_name": "a\x00b"},
        {"display_name": "Acme", "id": "1"},
        {"display_name": "Acme", "region": pb.REGION_EU},
    ],
)
async def test_invalid_organization_is_refused(keysvc: Replica, fields: dict[str, object]):
    with refused("INVALID_FIELD"):
        await create(keysvc, **fields)


async def test_repeated_activation_keeps_the_update_time(keysvc: Replica, clock: MovableClock):
    await create(keysvc, id=ID, display_name="Acme")
    clock.advance(hours=1)
    active = pb.Integration(
        organization_id=ID, state=pb.Integration.STATE_ACTIVE, update_time=to_timestamp(clock())
    )
    await keysvc.activate(ID)
    assert await integration(keysvc, ID) == active

    clock.advance(hours=1)
    await keysvc.activate(ID)
    assert await integration(keysvc, ID) == active

    await keysvc.deactivate(ID)
    assert await integration(keysvc, ID) == pb.Integration(
        organization_id=ID, state=pb.Integration.STATE_INACTIVE, update_time=to_timestamp(clock())
    )


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("organizations", "GetOrganization"),
        ("integrations", "GetIntegration"),
        ("integrations", "ActivateIntegration"),
        ("integrations", "DeactivateIntegration"),
    ],
)
@pytest.mark.parametrize(
    ("organization_id", "reason"),
    [(UNKNOWN_ID, "ORGANIZATION_NOT_FOUND"), ("", "INVALID_FIELD"), ("acme", "INVALID_FIELD")],
)
async def test_unknown_or_invalid_organization_id_is_refused(
    keysvc: Replica, service: str, method: str, organization_id: str, reason: str
):
    request = getattr(pb, f"{method}Request")(organization_id=organization_id)

    with refused(reason):
        await getattr(getattr(keysvc, service), method)(request)


async def test_organizations_are_listed_in_the_order_of_creation(
    keysvc: Replica, clock: MovableClock
):
    created, listed, request = [], [], pb.ListOrganizationsRequest(page_size=2)
    for name in ("Initech", "Acme", "Globex", "Hooli", "Umbrella"):
        clock.advance(seconds=1)
        created.append(await create(keysvc, display_name=name))

    page = None
    while page is None or page.next_page_token:
        page = await keysvc.organizations.ListOrganizations(request)
        listed.append(list(page.organizations))
        request.page_token = page.next_page_token

    assert listed == [created[:2], created[2:4], created[4:]]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ListOrganizationsRequest(page_size=-1), "INVALID_FIELD"),
        (pb.ListOrganizationsRequest(page_token="begin"), "INVALID_PAGE_TOKEN"),
    ],
)
async def test_invalid_list_request_is_refused(keysvc: Replica, request_: object, reason: str):
    with refused(reason):
        await keysvc.organizations.ListOrganizations(request_)


async def test_violation_of_a_constraint_becomes_its_refusal(keys_url: str):
    async with Database(keys_url, "test") as database, database.connection() as db:
        with (
            pytest.raises(InvalidField) as caught,
            violations_as_refusals(organization_store.CONSTRAINTS),
        ):
            await db.execute(
                "INSERT INTO organization (display_name, region, create_time)"
                " VALUES ('', 'us', now())"
            )
        known = await db.fetch("SELECT conname FROM pg_constraint")

    assert caught.value.metadata == {"field": "organization.display_name"}
    assert organization_store.CONSTRAINTS.keys() | key_store.CONSTRAINTS.keys() <= {
        row["conname"] for row in known
    }


async def test_violation_of_an_unlisted_constraint_is_an_internal_error(keys_url: str):
    async with Database(keys_url, "test") as database, database.connection() as db:
        with (
            pytest.raises(asyncpg.CheckViolationError),
            violations_as_refusals(organization_store.CONSTRAINTS),
        ):
            await db.execute(
                "INSERT INTO organization (display_name, region, create_time)"
                " VALUES ('Acme', 'mars', now())"
            )
