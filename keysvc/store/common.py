"""Statements that all stores share: the lock of an organization and notifications."""

from typing import Final
from uuid import UUID

import asyncpg

from chassis.errors import Refusal
from keysvc.domain.errors import ORGANIZATION_NOT_FOUND

CHANNEL: Final = "keysvc_change"
"""The NOTIFY channel of changes, for all replicas of this service."""


async def lock_organization(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Lock an organization, so that its changes happen one by one. Refuses ORGANIZATION_NOT_FOUND.

    The lock is a statement of its own: later statements then see the previous change. Callers read
    the clock after the lock, so the times of actions have the order of the actions.
    """
    found = await db.fetchval(
        "SELECT 1 FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE",
        organization_id,
    )
    if found is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)


async def check_organization(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Refuse (ORGANIZATION_NOT_FOUND) an organization that does not exist."""
    found = await db.fetchval(
        "SELECT 1 FROM organization WHERE organization_id = $1", organization_id
    )
    if found is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)


async def announce_change(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Notify every replica when the transaction is committed.

    NOTIFY serializes commits, which is acceptable for these rare writes.
    """
    await db.execute("SELECT pg_notify($1, $2)", CHANNEL, str(organization_id))
