"""The table of changes, for those who read them; whoever changes something writes them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain.changes import KEPT, Change, ChangeCursor, ChangeType
from usersvc.domain.errors import CHANGES_TRIMMED, INVALID_CHANGE_TOKEN
from usersvc.domain.groups import Group
from usersvc.domain.users import User
from usersvc.store.groups import group_of
from usersvc.store.listing.group_fields import COLUMNS as GROUP_COLUMNS
from usersvc.store.rows import user as user_rows

CHANNEL: Final = "changes"
TRIM_ROWS: Final = 5_000
CURSOR_ROWS: Final = 500

Row = Any  # asyncpg is untyped


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a feed reaches: all up to `horizon` is final, what is up to `trimmed` is gone.

    `given` is the last number that was given out; what is behind the horizon is about to commit.
    A later look may find a lower horizon, and that of before still holds.
    """

    feed_id: UUID
    trimmed: int
    horizon: int
    given: int
    pending: bool = False

    def check(self, place: ChangeCursor) -> None:
        """Refuse (INVALID_CHANGE_TOKEN, CHANGES_TRIMMED) a place that is not on the feed."""
        if place.feed_id != self.feed_id or place.number > self.given:
            raise Refusal(INVALID_CHANGE_TOKEN)
        if place.number < self.trimmed:
            raise Refusal(CHANGES_TRIMMED)


@dataclass(frozen=True, slots=True)
class Membership:
    """Users and groups that are members of a group, perhaps not all of them."""

    organization_id: UUID
    group_id: UUID
    user_ids: Sequence[UUID]
    group_ids: Sequence[UUID]


class ChangeStore:
    """Reads changes in their order, and drops old ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def edge(self) -> Watermark:
        """The feed as it is now. What is read after this is complete up to the horizon."""
        async with self._database.connection() as db:
            return await _edge(db)

    async def following(
        self, place: ChangeCursor, horizon: int, size: int
    ) -> tuple[list[Change], ChangeCursor]:
        """The first changes behind a place up to a horizon, and the place behind them.

        Refuses (CHANGES_TRIMMED, INVALID_CHANGE_TOKEN) when they are no longer there.
        """
        statement, arguments = _of(place.organization_id, _FOLLOWING, _FOLLOWING_ALL)
        async with self._database.connection() as db:
            rows = await db.fetch(statement, place.number, horizon, size, *arguments)
            # Only after the changes were read is it sure that none of them was dropped before.
            feed_id, trimmed = await db.fetchrow(_FEED)
        Watermark(feed_id, trimmed, horizon, max(horizon, place.number)).check(place)
        changes = [_change(row) for row in rows if row["number"] not in place.known]
        reached = rows[-1]["number"] if len(rows) == size else max(horizon, place.number)
        return changes, place.after(reached)

    async def organizations(self, after: int, horizon: int) -> dict[UUID, datetime]:
        """Whose changes are behind one number and not behind another, and since when."""
        async with self._database.connection() as db:
            return dict(await db.fetch(_ORGANIZATIONS, after, horizon))

    async def trim(self, now: datetime) -> int:
        """Drop some of the oldest changes that are too old; how many it were.

        Nothing happens while another replica is at it.
        """
        async with self._database.transaction() as db:
            if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _TRIM_LOCK):
                return 0
            dropped: int = await db.fetchval(_TRIM, now - KEPT, TRIM_ROWS)
            return dropped

    async def renew(self) -> UUID:
        """Begin the feed anew: no token given out before leads anywhere. Returns the new id."""
        async with self._database.connection() as db:
            feed_id: UUID = await db.fetchval(
                "UPDATE change_feed SET feed_id = gen_random_uuid() RETURNING feed_id"
            )
        return feed_id

    @asynccontextmanager
    async def snapshot(self, organization_id: UUID | None) -> AsyncIterator["Snapshot"]:
        """All that an organization, or every one, has at one moment."""
        async with self._database.connection() as db:
            edge = await _edge(db)
            async with db.transaction(isolation="repeatable_read", readonly=True):
                statement, arguments = _of(organization_id, _KNOWN, _KNOWN_ALL)
                rows = await db.fetch(statement, edge.horizon, *arguments)
                known = frozenset(row["number"] for row in rows)
                place = ChangeCursor(edge.feed_id, organization_id, edge.horizon, known)
                yield Snapshot(db, place)


class Snapshot:
    """What there was at one moment, read piece by piece."""

    def __init__(self, db: asyncpg.Connection, place: ChangeCursor) -> None:
        self._db = db
        self.place = place

    async def users(self) -> AsyncGenerator[list[User], None]:
        """The users, by organization and id."""
        async for rows in self._read(f"SELECT {user_rows.COLUMNS} FROM users", "user_id"):  # noqa: S608
            yield [user_rows.user(row) for row in rows]

    async def groups(self) -> AsyncGenerator[list[Group], None]:
        """The groups, by organization and id."""
        async for rows in self._read(f"SELECT {GROUP_COLUMNS} FROM groups", "group_id"):  # noqa: S608
            yield [group_of(row) for row in rows]

    async def members(self) -> AsyncGenerator[list[Membership], None]:
        """The members of groups; a group with many comes again and again."""
        async for rows in self._read(_MEMBERS, "group_id, member_id"):
            yield [
                Membership(
                    organization_id=whose[0],
                    group_id=whose[1],
                    user_ids=[row["member_id"] for row in members if row["kind"] == "user"],
                    group_ids=[row["member_id"] for row in members if row["kind"] == "group"],
                )
                for whose, group in groupby(rows, key=itemgetter("organization_id", "group_id"))
                for members in [list(group)]
            ]

    async def _read(self, statement: str, order: str) -> AsyncIterator[list[Row]]:
        all_of_them = f"{statement} ORDER BY organization_id, {order}"
        one = f"{statement} WHERE organization_id = $1 ORDER BY {order}"
        chosen, arguments = _of(self.place.organization_id, one, all_of_them)
        cursor = await self._db.cursor(chosen, *arguments)
        while rows := await cursor.fetch(CURSOR_ROWS):
            yield rows


class Listener:
    """A connection that hears of the changes of all replicas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def connection(self, hear: Callable[[], None]) -> AsyncIterator["Wire"]:
        """Hear of others' changes as long as the context lasts. Refuses DatabaseUnavailable."""
        async with self._database.connection() as db:
            own = db.get_server_pid()

            def heard(_connection: object, pid: int, *_: object) -> None:
                if pid != own:
                    hear()

            try:
                await db.add_listener(CHANNEL, heard)
                yield Wire(db)
                await db.remove_listener(CHANNEL, heard)
            except BaseException:
                # Giving it back to the pool in order would wait for a server that may be gone.
                db.terminate()
                raise


class Wire:
    """What is asked and told over the connection that listens."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db

    async def announce(self) -> None:
        """Let every other replica look for changes."""
        await self._db.execute(f"NOTIFY {CHANNEL}")

    async def edge(self) -> Watermark:
        """The feed as it is now. What is read after this is complete up to the horizon."""
        return await _edge(self._db)


async def _edge(db: asyncpg.Connection) -> Watermark:
    horizon, given = await db.fetchrow(
        "SELECT change_horizon(), pg_sequence_last_value('change_number')"
    )
    # What the sequence gave out is not in the WAL before somebody commits; after a crash it gives
    # it out again. A number of a change that can be seen is.
    last = await db.fetchval("SELECT max(number) FROM changes WHERE number <= $1", horizon)
    feed_id, trimmed = await db.fetchrow(_FEED)
    return Watermark(feed_id, trimmed, max(last or 0, trimmed), given, horizon < given)


def _of(organization_id: UUID | None, one: str, every: str) -> tuple[str, list[UUID]]:
    """The statement for one organization, or for all, and its last argument."""
    return (one, [organization_id]) if organization_id else (every, [])


def _change(row: Row) -> Change:
    return Change(
        organization_id=row["organization_id"],
        number=row["number"],
        type=ChangeType(row["type"]),
        resource_id=row["resource_id"],
        version=row["version"],
        fields=tuple(row["fields"]),
        active=row["active"],
        user_ids=tuple(row["user_ids"]),
        group_ids=tuple(row["group_ids"]),
        create_time=row["create_time"],
        request_id=row["request_id"],
    )


# --- statements -------------------------------------------------------------------------

_TRIM_LOCK: Final = 0x7472696D  # "trim": the class of the advisory lock

_COLUMNS: Final = """
    organization_id, number, type, resource_id, version, fields, active, user_ids, group_ids,
    create_time, request_id
"""

_FEED: Final = "SELECT feed_id, trimmed FROM change_feed"

_FOLLOWING: Final = f"""
    SELECT {_COLUMNS}
      FROM changes
     WHERE organization_id = $4 AND number > $1 AND number <= $2
     ORDER BY number
     LIMIT $3
"""  # noqa: S608

_FOLLOWING_ALL: Final = f"""
    SELECT {_COLUMNS}
      FROM changes
     WHERE number > $1 AND number <= $2
     ORDER BY number
     LIMIT $3
"""  # noqa: S608

_ORGANIZATIONS: Final = """
    SELECT organization_id, min(create_time)
      FROM changes
     WHERE number > $1 AND number <= $2
     GROUP BY organization_id
"""

# Committed before the moment of the snapshot, though something before them was not.
_KNOWN: Final = "SELECT number FROM changes WHERE organization_id = $2 AND number > $1"
_KNOWN_ALL: Final = "SELECT number FROM changes WHERE number > $1"

_MEMBERS: Final = "SELECT organization_id, group_id, member_id, kind FROM group_members"

_TRIM: Final = """
    WITH oldest AS (
        SELECT organization_id, number, create_time FROM changes ORDER BY number LIMIT $2
    ), dropped AS (
        DELETE FROM changes
         USING oldest
         WHERE changes.organization_id = oldest.organization_id
           AND changes.number = oldest.number
           AND oldest.create_time < $1
        RETURNING changes.number
    ), noted AS (
        UPDATE change_feed
           SET trimmed = greatest(trimmed, (SELECT max(number) FROM dropped))
    )
    SELECT count(*) FROM dropped
"""
