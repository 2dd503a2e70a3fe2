"""The SQL of organizations and their integrations."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.clock import Clock
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import InvalidField, Refusal
from keysvc.domain.audit import Action, Actor
from keysvc.domain.errors import NAME_LENGTH, ORGANIZATION_EXISTS, ORGANIZATION_NOT_FOUND
from keysvc.domain.organizations import Integration, NewOrganization, Organization, Region
from keysvc.domain.pages import Position
from keysvc.store.audit import record_action
from keysvc.store.common import announce_change, lock_organization

CONSTRAINTS: Final[Constraints] = {
    "organization_display_name_length": lambda _: InvalidField(
        "organization.display_name", NAME_LENGTH
    ),
}


class OrganizationStore:
    """Stores organizations and their integrations. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: NewOrganization, now: datetime) -> Organization:
        """Add an organization with an inactive integration. A repetition changes nothing.

        Refuses ORGANIZATION_EXISTS: the id is in use with another name.
        """
        async with self._database.transaction() as db:
            with violations_as_refusals(CONSTRAINTS):
                created = await _insert(db, new, now)
            if created is not None:
                await _insert_integration(db, created.organization_id, now)
                return created
            # Not inserted: the request has an id that is in use.
            existing = await _select(db, new.organization_id)
            if existing is None or existing.display_name != new.display_name:
                raise Refusal(ORGANIZATION_EXISTS, new.organization_id or UUID(int=0))
            return existing

    async def get(self, organization_id: UUID) -> Organization:
        """Read one organization. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.connection() as db:
            organization = await _select(db, organization_id)
        if organization is None:
            raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)
        return organization

    async def list_after(self, position: Position, limit: int) -> list[Organization]:
        """List organizations after a position, in the order of creation."""
        async with self._database.connection() as db:
            rows = await db.fetch(
                """
                SELECT organization_id, display_name, region, create_time
                  FROM organization
                 WHERE (create_time, organization_id) > ($1, $2)
                 ORDER BY create_time, organization_id
                 LIMIT $3
                """,
                *(position.create_time, position.element_id, limit),
            )
        return [_organization(row) for row in rows]

    async def get_integration(self, organization_id: UUID) -> Integration:
        """Read the integration of an organization. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.connection() as db:
            return await select_integration(db, organization_id)

    async def set_integration_active(
        self, organization_id: UUID, active: bool, actor: Actor, clock: Clock
    ) -> Integration:
        """Activate or deactivate the integration. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            now = clock()
            row = await db.fetchrow(
                """
                UPDATE integration
                   SET active = $2, update_time = $3
                 WHERE organization_id = $1 AND active <> $2
                RETURNING organization_id, active, update_time
                """,
                *(organization_id, active, now),
            )
            if row is None:  # no change
                return await select_integration(db, organization_id)
            action = Action.INTEGRATION_ACTIVATED if active else Action.INTEGRATION_DEACTIVATED
            await record_action(db, organization_id, action, actor, now)
            await announce_change(db, organization_id)
        return Integration(**row)


async def select_integration(db: asyncpg.Connection, organization_id: UUID) -> Integration:
    """Read the integration of an organization. Refuses ORGANIZATION_NOT_FOUND."""
    row = await db.fetchrow(
        "SELECT organization_id, active, update_time FROM integration WHERE organization_id = $1",
        organization_id,
    )
    if row is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)
    return Integration(**row)


async def _insert(
    db: asyncpg.Connection, new: NewOrganization, now: datetime
) -> Organization | None:
    row = await db.fetchrow(
        """
        INSERT INTO organization (organization_id, display_name, region, create_time)
        VALUES (coalesce($1, uuidv7()), $2, $3, $4)
        ON CONFLICT ON CONSTRAINT organization_pkey DO NOTHING
        RETURNING organization_id, display_name, region, create_time
        """,
        *(new.organization_id, new.display_name, new.region.value, now),
    )
    return _organization(row) if row else None


async def _insert_integration(db: asyncpg.Connection, organization_id: UUID, now: datetime) -> None:
    await db.execute(
        "INSERT INTO integration (organization_id, active, update_time) VALUES ($1, false, $2)",
        *(organization_id, now),
    )


async def _select(db: asyncpg.Connection, organization_id: UUID | None) -> Organization | None:
    row = await db.fetchrow(
        """
        SELECT organization_id, display_name, region, create_time
          FROM organization
         WHERE organization_id = $1
        """,
        organization_id,
    )
    return _organization(row) if row else None


def _organization(row: asyncpg.Record) -> Organization:
    return Organization(
        row["organization_id"], row["display_name"], Region(row["region"]), row["create_time"]
    )
