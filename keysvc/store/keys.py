"""The SQL of API keys."""

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from chassis.clock import Clock
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import InvalidField, Refusal
from keysvc.domain.audit import Action, Actor
from keysvc.domain.errors import (
    INTEGRATION_NOT_ACTIVE,
    KEY_NOT_FOUND,
    NEWER_KEY_EXISTS,
    ORGANIZATION_NOT_FOUND,
    TOO_LONG,
)
from keysvc.domain.keys import GRACE_PERIOD, NO_KEY, USE_PRECISION, Key, NewKey, StoredKey
from keysvc.domain.pages import Position
from keysvc.store.audit import record_action
from keysvc.store.common import announce_change, check_organization, lock_organization
from keysvc.store.organizations import select_integration

_TIME_RESOLUTION: Final = timedelta(microseconds=1)
"""The resolution of times in PostgreSQL."""

CONSTRAINTS: Final[Constraints] = {
    "api_key_created_by_length": lambda _: InvalidField("created_by", TOO_LONG),
    "api_key_revoked_by_length": lambda _: InvalidField("revoked_by", TOO_LONG),
}


class KeyStore:
    """Stores API keys. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def generate(self, organization_id: UUID, new: NewKey, clock: Clock) -> Key:
        """Add a key. Older keys expire after the grace period, or earlier if they already would.

        Refuses ORGANIZATION_NOT_FOUND, INTEGRATION_NOT_ACTIVE, NEWER_KEY_EXISTS.
        """
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            if not (await select_integration(db, organization_id)).active:
                raise Refusal(INTEGRATION_NOT_ACTIVE)
            newest = await _newest(db, organization_id)
            if new.newest_key_id and new.newest_key_id != (
                str(newest["key_id"]) if newest else NO_KEY
            ):
                raise Refusal(NEWER_KEY_EXISTS)
            now = clock()
            await _limit_expiry(db, organization_id, now + GRACE_PERIOD)
            # The last key must be the newest one, although the clocks of replicas differ.
            create_time = max(now, newest["create_time"] + _TIME_RESOLUTION) if newest else now
            with violations_as_refusals(CONSTRAINTS):
                key = await _insert(db, organization_id, new, create_time)
            action = Action.KEY_GENERATED
            await record_action(db, organization_id, action, new.actor, now, key_id=key.key_id)
            await announce_change(db, organization_id)
        return key

    async def list_before(self, organization_id: UUID, position: Position, limit: int) -> list[Key]:
        """List keys before a position, newest first. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.connection() as db:
            rows = await db.fetch(
                _LIST,
                *(organization_id, position.create_time, position.element_id, limit),
            )
            if not rows:
                await check_organization(db, organization_id)
        return [Key(**row) for row in rows]

    async def revoke(
        self, organization_id: UUID, key_id: UUID, revoked_by: str, actor: Actor, clock: Clock
    ) -> Key:
        """Revoke a key immediately and permanently. Refuses KEY_NOT_FOUND."""
        async with self._database.transaction() as db:
            await _lock_for_key(db, organization_id, key_id)
            now = clock()
            with violations_as_refusals(CONSTRAINTS):
                row = await db.fetchrow(
                    _REVOKE,
                    *(organization_id, key_id, revoked_by, actor.display_name, now),
                )
            if row is None:  # revoked before, or no such key
                return await _select(db, organization_id, key_id)
            await record_action(db, organization_id, Action.KEY_REVOKED, actor, now, key_id=key_id)
            await announce_change(db, organization_id)
        return Key(**row)

    async def find(self, key_id: UUID) -> StoredKey | None:
        """Find a key by its id: the only lookup that does not know the organization yet."""
        async with self._database.connection() as db:
            row = await db.fetchrow(
                _FIND,
                key_id,
            )
        if row is None:
            return None
        *key_fields, secret_digest, active = row
        return StoredKey(Key(*key_fields), secret_digest, active)

    async def record_use(
        self, organization_id: UUID, key_id: UUID, now: datetime, address: str
    ) -> None:
        """Record a use of a key, unless another replica has recorded one recently."""
        async with self._database.writer() as db:
            await db.execute(
                """
                UPDATE api_key
                   SET last_used_time = $3, last_used_address = $4
                 WHERE organization_id = $1 AND key_id = $2
                   AND (last_used_time IS NULL OR last_used_time <= $5
                        OR (last_used_time < expire_time - $6::interval
                            AND expire_time - $6::interval <= $3))
                """,
                *(organization_id, key_id, now, address, now - USE_PRECISION, GRACE_PERIOD),
            )


async def _newest(db: asyncpg.Connection, organization_id: UUID) -> asyncpg.Record | None:
    return await db.fetchrow(
        """
        SELECT key_id, create_time
          FROM api_key
         WHERE organization_id = $1
         ORDER BY create_time DESC, key_id DESC
         LIMIT 1
        """,
        organization_id,
    )


async def _lock_for_key(db: asyncpg.Connection, organization_id: UUID, key_id: UUID) -> None:
    try:
        await lock_organization(db, organization_id)
    except Refusal as refusal:
        if refusal.kind is not ORGANIZATION_NOT_FOUND:
            raise
        raise Refusal(KEY_NOT_FOUND, organization_id, key_id) from None


async def _limit_expiry(db: asyncpg.Connection, organization_id: UUID, end: datetime) -> None:
    await db.execute(
        """
        UPDATE api_key
           SET expire_time = $2
         WHERE organization_id = $1 AND revoke_time IS NULL
           AND (expire_time IS NULL OR expire_time > $2)
        """,
        *(organization_id, end),
    )


async def _insert(
    db: asyncpg.Connection, organization_id: UUID, new: NewKey, create_time: datetime
) -> Key:
    row = await db.fetchrow(
        _INSERT,
        *(organization_id, new.key_id, new.secret_digest, create_time, new.created_by),
        new.actor.display_name,
    )
    return Key(**row)


async def _select(db: asyncpg.Connection, organization_id: UUID, key_id: UUID) -> Key:
    row = await db.fetchrow(
        _SELECT,
        *(organization_id, key_id),
    )
    if row is None:
        raise Refusal(KEY_NOT_FOUND, organization_id, key_id)
    return Key(**row)


# --- statements -------------------------------------------------------------------------

_FIELDS: Final = tuple(field.name for field in fields(Key))
_COLUMNS: Final = ", ".join(_FIELDS)

_LIST: Final = f"""
    SELECT {_COLUMNS}
      FROM api_key
     WHERE organization_id = $1 AND (create_time, key_id) < ($2, $3)
     ORDER BY create_time DESC, key_id DESC
     LIMIT $4
"""  # noqa: S608

_REVOKE: Final = f"""
    UPDATE api_key
       SET revoked_by = $3, revoked_by_name = $4, revoke_time = $5
     WHERE organization_id = $1 AND key_id = $2 AND revoke_time IS NULL
    RETURNING {_COLUMNS}
"""  # noqa: S608

_INSERT: Final = f"""
    INSERT INTO api_key (organization_id, key_id, secret_digest, create_time, created_by,
                         created_by_name)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING {_COLUMNS}
"""  # noqa: S608

_SELECT: Final = f"""
    SELECT {_COLUMNS}
      FROM api_key
     WHERE organization_id = $1 AND key_id = $2
"""  # noqa: S608

_FIND: Final = f"""
    SELECT {", ".join(f"k.{name}" for name in _FIELDS)}, k.secret_digest, i.active
      FROM api_key k
      JOIN integration i ON i.organization_id = k.organization_id
     WHERE k.key_id = $1
"""  # noqa: S608
