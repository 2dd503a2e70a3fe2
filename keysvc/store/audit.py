"""The SQL of the audit trail."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from keysvc.domain.audit import Action, Actor, AuditEvent
from keysvc.domain.pages import Position
from keysvc.store.common import check_organization


class AuditStore:
    """Reads the audit trail, and records actions that others report.

    The stores that change something write it in their own transactions (`record_action`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_before(
        self,
        organization_id: UUID,
        position: Position,
        limit: int,
        actions: Sequence[Action] = (),
    ) -> list[AuditEvent]:
        """List events before a position, newest first; of all actions if none is given.

        Refuses ORGANIZATION_NOT_FOUND.
        """
        async with self._database.connection() as db:
            rows = await db.fetch(
                _LIST_OF_ACTIONS if actions else _LIST,
                *(organization_id, position.create_time, position.element_id, limit),
                *([list({action.value for action in actions})] if actions else []),
            )
            if not rows:
                await check_organization(db, organization_id)
        return [_event(row) for row in rows]

    async def record(
        self,
        organization_id: UUID,
        action: Action,
        actor: Actor,
        now: datetime,
        user_id: UUID | None,
    ) -> None:
        """Record a reported action. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.transaction() as db:
            await check_organization(db, organization_id)
            await record_action(db, organization_id, action, actor, now, user_id=user_id)


async def record_action(
    db: asyncpg.Connection,
    organization_id: UUID,
    action: Action,
    actor: Actor,
    now: datetime,
    *,
    key_id: UUID | None = None,
    fields: Sequence[str] = (),
    user_id: UUID | None = None,
    domain: str = "",
    reason: str = "",
) -> None:
    """Record an action, in the transaction that makes the change."""
    await db.execute(
        """
        INSERT INTO audit_events (organization_id, create_time, actor_id, actor_display_name,
                                  actor_address, action, key_id, fields, user_id, domain,
                                  reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        *(organization_id, now, actor.actor_id, actor.display_name),
        *(actor.address, action.value, key_id, fields, user_id, domain, reason),
    )


def _event(row: asyncpg.Record) -> AuditEvent:
    return AuditEvent(
        row["organization_id"],
        row["event_id"],
        row["create_time"],
        Actor(row["actor_id"], row["actor_display_name"], row["actor_address"]),
        Action(row["action"]),
        row["key_id"],
        tuple(row["fields"]),
        row["user_id"],
        row["domain"],
        row["reason"],
    )


# --- statements -------------------------------------------------------------------------

_COLUMNS: Final = """
    organization_id, event_id, create_time, actor_id, actor_display_name, actor_address, action,
    key_id, fields, user_id, domain, reason
"""

_LIST: Final = f"""
    SELECT {_COLUMNS}
      FROM audit_events
     WHERE organization_id = $1 AND (create_time, event_id) < ($2, $3)
     ORDER BY create_time DESC, event_id DESC
     LIMIT $4
"""  # noqa: S608

# Each action is read by its own index, because a rare one may have no event among the newest.
_LIST_OF_ACTIONS: Final = f"""
    SELECT event.*
      FROM unnest($5::text[]) AS wanted (action)
     CROSS JOIN LATERAL (SELECT {_COLUMNS}
                           FROM audit_events
                          WHERE organization_id = $1 AND action = wanted.action
                            AND (create_time, event_id) < ($2, $3)
                          ORDER BY create_time DESC, event_id DESC
                          LIMIT $4) AS event
     ORDER BY create_time DESC, event_id DESC
     LIMIT $4
"""  # noqa: S608
