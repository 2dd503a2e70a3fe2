"""What all stores do alike: wait for a turn and tell of a change."""

from typing import Final
from uuid import UUID

import asyncpg

from chassis.errors import Refusal
from keysvc.domain.errors import ORGANIZATION_NOT_FOUND

CHANNEL: Final = "keysvc_change"
"""Where changes are announced to all replicas of this service."""


async def lock_organization(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Wait for our turn to change what the organization has; refuses ORGANIZATION_NOT_FOUND.

    A statement of its own: what the following ones read is then what the one
    before us left. The clock is read after it: what is told newest first then
    comes in the order in which it happened.
    """
    found = await db.fetchval(
        "SELECT 1 FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE",
        organization_id,
    )
    if found is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)


async def check_organization(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Refuse (ORGANIZATION_NOT_FOUND) an organization that is not there."""
    found = await db.fetchval(
        "SELECT 1 FROM organization WHERE organization_id = $1", organization_id
    )
    if found is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)


async def announce_change(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Tell every replica once the transaction is committed, and not otherwise.

    NOTIFY makes commits wait for one another, which these rare writes can bear.
    """
    await db.execute("SELECT pg_notify($1, $2)", CHANNEL, str(organization_id))
