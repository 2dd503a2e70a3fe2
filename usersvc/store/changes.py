"""The table of changes, for its readers. The stores of users and groups write it."""

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
from usersvc.domain.changes import FIRST_TIMED, Change, ChangeCursor, ChangeType, fingerprint
from usersvc.domain.errors import CHANGES_TRIMMED, INVALID_CHANGE_TOKEN
from usersvc.domain.groups import Group
from usersvc.domain.users import User
from usersvc.store.listing.group_fields import COLUMNS as GROUP_COLUMNS
from usersvc.store.rows import group as group_rows
from usersvc.store.rows import user as user_rows

CHANNEL: Final = "changes"
FETCH_ROWS: Final = 50
"""The users or groups of a page of a snapshot. asyncpg decodes a page without a pause."""
FETCH_MEMBERS: Final = 500

Row = Any  # asyncpg is untyped


@dataclass(frozen=True, slots=True)
class Watermark:
    """The state of the feed: changes up to `horizon` are final, those up to `trimmed` are deleted.

    `allocated` is the last number that was allocated. Changes after the horizon may not be
    committed yet. A later read may return a lower horizon; the earlier, higher one remains valid.
    """

    feed_id: UUID
    trimmed: int
    horizon: int
    allocated: int
    pending: bool = False
    fingerprint: int | None = None
    """The fingerprint of the change at the horizon."""

    def cursor(
        self, organization_id: UUID | None, seen: frozenset[int] = frozenset()
    ) -> ChangeCursor:
        """The cursor of a reader that has all final changes, and the `seen` ones."""
        return ChangeCursor(self.feed_id, organization_id, self.horizon, seen, self.fingerprint)

    def check(self, cursor: ChangeCursor) -> None:
        """Refuse INVALID_CHANGE_TOKEN for another feed's cursor, CHANGES_TRIMMED for an old one."""
        if cursor.feed_id != self.feed_id or cursor.number > self.allocated:
            raise Refusal(INVALID_CHANGE_TOKEN)
        if cursor.number < self.trimmed:
            raise Refusal(CHANGES_TRIMMED)


@dataclass(frozen=True, slots=True)
class Membership:
    """Some or all members of a group."""

    organization_id: UUID
    group_id: UUID
    user_ids: Sequence[UUID]
    group_ids: Sequence[UUID]


class ChangeStore:
    """Reads changes in order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watermark(self) -> Watermark:
        """The current state of the feed. Later reads are complete up to the horizon."""
        async with self._database.connection() as db:
            return await _watermark(db)

    async def changes_after(
        self, cursor: ChangeCursor, horizon: int, size: int
    ) -> tuple[list[Change], ChangeCursor]:
        """The first changes after a cursor, up to a horizon, and the cursor after them.

        Refuses CHANGES_TRIMMED if the changes were deleted, and INVALID_CHANGE_TOKEN if the change
        at the cursor or at the horizon was lost: a failover or a restore went back before it.
        """
        statement, arguments = _one_or_all(
            cursor.organization_id, _CHANGES_AFTER, _CHANGES_AFTER_ALL
        )
        async with self._database.connection() as db:
            rows = await db.fetch(statement, cursor.number, horizon, size, *arguments)
            reached = rows[-1]["number"] if len(rows) == size else max(horizon, cursor.number)
            # Read after the changes, so that no change was deleted or lost unnoticed.
            found = await db.fetch(_FEED_AT, [cursor.number, reached])
        feed_id, trimmed = found[0]["feed_id"], found[0]["trimmed"]
        Watermark(feed_id, trimmed, horizon, max(horizon, cursor.number)).check(cursor)
        fingerprints = {row["number"]: _fingerprint(row) for row in found}
        end = cursor.after(reached, fingerprints.get(reached))
        for position in (cursor, end):
            _check_existence(position, trimmed, fingerprints.get(position.number))
        return [_change(row) for row in rows if row["number"] not in cursor.seen], end

    async def organizations(self, after: int, horizon: int) -> dict[UUID, datetime]:
        """The organizations with changes in (after, horizon], with their first change's time."""
        async with self._database.connection() as db:
            return dict(await db.fetch(_ORGANIZATIONS, after, horizon))

    async def renew(self) -> UUID:
        """Give the feed a new id, which invalidates all earlier tokens. Returns the new id."""
        async with self._database.writer() as db:
            feed_id: UUID = await db.fetchval(
                "UPDATE change_feed SET feed_id = gen_random_uuid() RETURNING feed_id"
            )
        return feed_id

    @asynccontextmanager
    async def snapshot(self, organization_id: UUID | None) -> AsyncIterator["Snapshot"]:
        """Open a consistent snapshot of one organization, or of all (None)."""
        async with self._database.connection() as db:
            watermark = await _watermark(db)
            async with db.transaction(isolation="repeatable_read", readonly=True):
                statement, arguments = _one_or_all(organization_id, _SEEN, _SEEN_ALL)
                rows = await db.fetch(statement, watermark.horizon, *arguments)
                seen = frozenset(row["number"] for row in rows)
                yield Snapshot(db, watermark.cursor(organization_id, seen))


class Snapshot:
    """A consistent snapshot, read page by page."""

    def __init__(self, db: asyncpg.Connection, cursor: ChangeCursor) -> None:
        self._db = db
        self.cursor = cursor

    async def users(self) -> AsyncGenerator[list[User], None]:
        """Pages of users, ordered by organization and id."""
        async for rows in self._read(f"SELECT {user_rows.COLUMNS} FROM users", "user_id"):  # noqa: S608
            yield [user_rows.user(row) for row in rows]

    async def groups(self) -> AsyncGenerator[list[Group], None]:
        """Pages of groups, ordered by organization and id."""
        async for rows in self._read(f"SELECT {GROUP_COLUMNS} FROM groups", "group_id"):  # noqa: S608
            yield [group_rows.group(row) for row in rows]

    async def members(self) -> AsyncGenerator[list[Membership], None]:
        """Pages of memberships. A large group appears in several pages."""
        async for rows in self._read(_MEMBERS, "group_id, member_id", FETCH_MEMBERS):
            yield [
                Membership(
                    organization_id=key[0],
                    group_id=key[1],
                    user_ids=[row["member_id"] for row in members if row["kind"] == "user"],
                    group_ids=[row["member_id"] for row in members if row["kind"] == "group"],
                )
                for key, group in groupby(rows, key=itemgetter("organization_id", "group_id"))
                for members in [list(group)]
            ]

    async def _read(
        self, statement: str, order: str, size: int = FETCH_ROWS
    ) -> AsyncIterator[list[Row]]:
        every = f"{statement} ORDER BY organization_id, {order}"
        one = f"{statement} WHERE organization_id = $1 ORDER BY {order}"
        chosen, arguments = _one_or_all(self.cursor.organization_id, one, every)
        rows_cursor = await self._db.cursor(chosen, *arguments)
        while rows := await rows_cursor.fetch(size):
            yield rows


class Listener:
    """Opens connections that receive the notifications of other replicas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def connection(
        self, on_notification: Callable[[], None]
    ) -> AsyncIterator["ListenConnection"]:
        """Call `on_notification` for each notification of another replica.

        Refuses DatabaseUnavailable.
        """
        async with self._database.connection() as db:
            own = db.get_server_pid()

            def listener(_connection: object, pid: int, *_: object) -> None:
                if pid != own:
                    on_notification()

            try:
                await db.add_listener(CHANNEL, listener)
                yield ListenConnection(db)
                await db.remove_listener(CHANNEL, listener)
            except BaseException:
                # A regular release to the pool would wait for a server that may be gone.
                db.terminate()
                raise


class ListenConnection:
    """The connection that listens; it also sends notifications and reads the watermark."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db

    async def notify_replicas(self) -> None:
        """Notify every other replica that there are new changes."""
        # Does not wait for the synchronous standby: a notification has nothing to keep.
        await self._db.execute(f"SET LOCAL synchronous_commit = local; NOTIFY {CHANNEL}")

    async def watermark(self) -> Watermark:
        """The current state of the feed. Later reads are complete up to the horizon."""
        return await _watermark(self._db)


async def _watermark(db: asyncpg.Connection) -> Watermark:
    horizon, allocated = await db.fetchrow(
        "SELECT change_horizon(), pg_sequence_last_value('change_number')"
    )
    # A sequence's value reaches the WAL only with a commit: after a crash, the sequence can
    # allocate the same numbers again. The number of a visible change is durable.
    last = await db.fetchrow(_LAST, horizon)
    feed_id, trimmed = await db.fetchrow(_FEED)
    is_pending = horizon < allocated
    if last is None or last["number"] <= trimmed:
        return Watermark(feed_id, trimmed, trimmed, allocated, is_pending)
    return Watermark(feed_id, trimmed, last["number"], allocated, is_pending, _fingerprint(last))


def _check_existence(cursor: ChangeCursor, trimmed: int, found: int | None) -> None:
    """Refuse INVALID_CHANGE_TOKEN if the change at the cursor is missing or another one."""
    if cursor.number <= trimmed or cursor.number < FIRST_TIMED:
        return
    if found is None or cursor.fingerprint not in (None, found):
        raise Refusal(INVALID_CHANGE_TOKEN)


def _fingerprint(row: Row) -> int | None:
    if row["number"] is None or row["number"] < FIRST_TIMED:
        return None
    return fingerprint(row["resource_id"], row["create_time"])


def _one_or_all(organization_id: UUID | None, one: str, every: str) -> tuple[str, list[UUID]]:
    """The statement for one organization or for all (None), and its last argument."""
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

_COLUMNS: Final = """
    organization_id, number, type, resource_id, version, fields, active, user_ids, group_ids,
    create_time, request_id
"""

_FEED: Final = "SELECT feed_id, trimmed FROM change_feed"

# With the changes that have some numbers. One statement, so that none is deleted in between.
_FEED_AT: Final = """
    SELECT feed_id, trimmed, number, resource_id, create_time
      FROM change_feed LEFT JOIN changes ON number = ANY($1::bigint[])
"""

_LAST: Final = """
    SELECT number, resource_id, create_time
      FROM changes
     WHERE number <= $1
     ORDER BY number DESC
     LIMIT 1
"""

_CHANGES_AFTER: Final = f"""
    SELECT {_COLUMNS}
      FROM changes
     WHERE organization_id = $4 AND number > $1 AND number <= $2
     ORDER BY number
     LIMIT $3
"""  # noqa: S608

_CHANGES_AFTER_ALL: Final = f"""
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

# Changes after the horizon that the snapshot contains, although earlier ones were not committed.
_SEEN: Final = "SELECT number FROM changes WHERE organization_id = $2 AND number > $1"
_SEEN_ALL: Final = "SELECT number FROM changes WHERE number > $1"

_MEMBERS: Final = "SELECT organization_id, group_id, member_id, kind FROM group_members"
