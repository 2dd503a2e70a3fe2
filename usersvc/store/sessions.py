"""The tables of sessions, sign-in links and accepted assertions.

Each statement except those of `delete_expired` is limited to one organization. A transaction locks
a user before a session or link, as deletion and deactivation do, to avoid deadlocks.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain import sessions, users
from usersvc.domain.changes import Origin
from usersvc.domain.errors import (
    ASSERTION_REPLAYED,
    LINKED_MEANWHILE,
    SESSION_ENDED,
    SIGN_IN_LINK_INVALID,
    USER_NAME_TAKEN,
    USER_NOT_FOUND,
)
from usersvc.domain.session_token import Token
from usersvc.domain.sessions import Assertion, Identity, ReplacedSession, Session, SessionId
from usersvc.domain.users import Profile, User
from usersvc.store import identities
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS
from usersvc.store.users import writes as user_writes

Row = Any  # asyncpg is untyped
BATCH_ROWS: Final = 1_000
_ATTEMPTS: Final = 3
_AT_ONCE: Final = timedelta(0)
"""Expired sessions and links are not kept."""


@dataclass(frozen=True, slots=True)
class AdministratorResult:
    """An administrator, and whether the user was created."""

    user: User
    created: bool


@dataclass(frozen=True, slots=True)
class SignInResult:
    """A new session, and whether its user was created."""

    session: Session
    created: bool


class SessionStore:
    """Creates, finds and ends sessions. A token is valid in its own organization only.

    `notifier` is notified after the commit of a new or changed user.
    """

    def __init__(self, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier

    async def create_link(self, token: Token, user_id: UUID, now: datetime) -> datetime:
        """Store a sign-in link of a user. Returns its expiry.

        Refuses USER_NOT_FOUND and USER_INACTIVE.
        """
        expire_time = now + sessions.LINK_LIFETIME
        async with self._database.transaction() as db:
            user = await _lock_user(db, token.organization_id, user_id)
            if user is None:
                raise Refusal(USER_NOT_FOUND, user_id)
            sessions.check_active(user)
            await db.execute(
                """
                INSERT INTO sign_in_links (organization_id, secret_digest, user_id, expire_time)
                VALUES ($1, $2, $3, $4)
                """,
                token.organization_id, token.secret_digest, user_id, expire_time,
            )  # fmt: skip
        return expire_time

    async def find_by_link(self, link: Token, now: datetime) -> User | None:
        """Find the user of a valid sign-in link."""
        async with self._database.connection() as db:
            row = await db.fetchrow(
                _SELECT_USER_OF_LINK, link.organization_id, link.secret_digest, now
            )
        return None if row is None else user_rows.user(row)

    async def sign_in_with_link(
        self, link: Token, token: Token, now: datetime, replaced: ReplacedSession | None
    ) -> Session:
        """Start a session, delete the link, and end the replaced session.

        Refuses SIGN_IN_LINK_INVALID and USER_INACTIVE.
        """
        async with self._database.transaction() as db:
            row = await db.fetchrow(
                _LOCK_USER_OF_LINK,
                link.organization_id, link.secret_digest, now,
            )  # fmt: skip
            if row is None:
                raise Refusal(SIGN_IN_LINK_INVALID)
            user = user_rows.user(row)
            sessions.check_active(user)
            used = await db.fetchval(
                """
                DELETE FROM sign_in_links
                 WHERE organization_id = $1 AND secret_digest = $2
                RETURNING true
                """,
                link.organization_id, link.secret_digest,
            )  # fmt: skip
            if used is None:  # another request used the link while this one waited for the user
                raise Refusal(SIGN_IN_LINK_INVALID)
            session = await _create_session(db, token, user.user_id, now)
            await _end_replaced(db, replaced)
            return session

    async def sign_in_with_assertion(
        self,
        assertion: Assertion,
        token: Token,
        now: datetime,
        origin: Origin,
        *,
        create_missing: bool,
        replaced: ReplacedSession | None,
    ) -> SignInResult:
        """Create a session for the identity of an assertion; link or create the user.

        The replaced session ends. The assertion is used up even if the sign-in is refused. Refuses
        ASSERTION_REPLAYED, the refusals of the linking rule, and after repeated conflicts with
        other transactions USER_NAME_TAKEN and SIGN_IN_CONFLICT.
        """
        async with self._database.transaction() as db:
            await _accept_assertion(db, assertion)
            outcome = await _sign_in_with_retries(
                db, assertion.identity, token, now, origin, create_missing=create_missing
            )
            if isinstance(outcome, SignInResult):
                await _end_replaced(db, replaced)
        self._notifier.notify()
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def use(self, token: Token, now: datetime) -> Session:
        """Find the session of a token and extend it. Refuses SESSION_ENDED."""
        # While writes are refused, sessions are used without being extended.
        is_stalled = self._database.is_stalled
        expire_time = now if is_stalled else now + sessions.IDLE_TIMEOUT
        async with self._database.connection() if is_stalled else self._database.writer() as db:
            row = await db.fetchrow(
                _USE,
                token.organization_id, token.secret_digest, now, expire_time,
                sessions.MIN_EXTENSION, users.ADMINISTRATOR,
            )  # fmt: skip
        if row is None:
            raise Refusal(SESSION_ENDED)
        return _session(row)

    async def end(self, token: Token) -> None:
        """End a session. No effect if it has already ended."""
        async with self._database.writer() as db:
            await db.execute(_END, token.organization_id, token.secret_digest)

    async def list_current(
        self, organization_id: UUID, user_id: UUID | None, now: datetime, limit: int
    ) -> list[Session]:
        """The current sessions of an organization or of one user, newest first."""
        async with self._database.connection() as db:
            rows = await db.fetch(
                _LIST_OF_USER if user_id else _LIST,
                organization_id, now, limit, users.ADMINISTRATOR, *([user_id] if user_id else []),
            )  # fmt: skip
        return [_session(row) for row in rows]

    async def end_one(
        self, organization_id: UUID, session_id: SessionId, now: datetime
    ) -> list[Session]:
        """End a session. Returns it, or nothing if it has already ended."""
        async with self._database.writer() as db:
            row = await db.fetchrow(
                _END_ONE, organization_id, session_id.digest, now, users.ADMINISTRATOR
            )
        return [] if row is None else [_session(row)]

    async def end_all(self, organization_id: UUID, user_id: UUID | None) -> list[Session]:
        """End all sessions and sign-in links of an organization, or of one of its users."""
        of_user = [user_id] if user_id else []
        async with self._database.transaction() as db:
            await db.execute(
                _DELETE_LINKS_OF_USER if user_id else _DELETE_LINKS, organization_id, *of_user
            )
            rows = await db.fetch(
                _END_ALL_OF_USER if user_id else _END_ALL,
                organization_id, users.ADMINISTRATOR, *of_user,
            )  # fmt: skip
        return [_session(row) for row in rows]

    async def make_administrator(
        self, organization_id: UUID, profile: Profile, now: datetime, origin: Origin
    ) -> AdministratorResult:
        """Give the administrator role to the user with the profile's name; create a missing user.

        Refuses USER_INACTIVE, and as `UserStore.create` does.
        """
        async with self._database.transaction() as db:
            administrator = await _make_administrator(db, organization_id, profile, now, origin)
        self._notifier.notify()
        return administrator

    async def find(self, organization_id: UUID, user_name: str) -> User | None:
        """Find the user with a name, compared without regard to case."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_SELECT_SAME_NAME, organization_id, user_name)
        return None if row is None else user_rows.user(row)

    async def delete_expired(self) -> int:
        """Delete a batch of expired rows of each table. Returns the number deleted."""
        async with self._database.writer() as db:
            deleted = [
                await db.fetchval(_DELETE_EXPIRED_SESSIONS, _AT_ONCE, BATCH_ROWS),
                await db.fetchval(_DELETE_EXPIRED_LINKS, _AT_ONCE, BATCH_ROWS),
                await db.fetchval(
                    _DELETE_EXPIRED_ASSERTIONS, sessions.ASSERTION_RETENTION, BATCH_ROWS
                ),
            ]
        return sum(deleted)


async def _accept_assertion(db: asyncpg.Connection, assertion: Assertion) -> None:
    accepted = await db.fetchval(
        """
        INSERT INTO taken_assertions (organization_id, assertion_digest, expire_time)
        VALUES ($1, $2, $3)
        ON CONFLICT ON CONSTRAINT taken_assertions_pkey DO NOTHING
        RETURNING true
        """,
        assertion.organization_id, assertion.digest, assertion.expire_time,
    )  # fmt: skip
    if accepted is None:
        raise Refusal(ASSERTION_REPLAYED)


async def _sign_in_with_retries(
    db: asyncpg.Connection,
    identity: Identity,
    token: Token,
    now: datetime,
    origin: Origin,
    *,
    create_missing: bool,
) -> SignInResult | Refusal:
    """The new session or the refusal. A refused sign-in writes nothing.

    Repeats a sign-in that conflicts with another transaction.
    """
    outcome: SignInResult | Refusal | None = None
    for _ in range(_ATTEMPTS):
        try:
            async with db.transaction():
                return await _sign_in(
                    db, identity, token, now, origin, create_missing=create_missing
                )
        except Refusal as refusal:
            # Another transaction created or linked the user. The next attempt matches that user.
            if refusal.kind not in (USER_NAME_TAKEN, LINKED_MEANWHILE):
                return refusal
            outcome = refusal
    assert outcome is not None  # noqa: S101 - each attempt returns or sets it
    return outcome


async def _sign_in(
    db: asyncpg.Connection,
    identity: Identity,
    token: Token,
    now: datetime,
    origin: Origin,
    *,
    create_missing: bool,
) -> SignInResult:
    organization_id = token.organization_id
    candidates = await identities.lock_candidates(db, organization_id, identity)
    found = sessions.match_user(identity, *candidates)
    if found is None:
        deleted = create_missing and await identities.is_deleted(db, organization_id, identity, now)
        profile = sessions.profile_to_create(
            identity, create_missing=create_missing, deleted=deleted
        )
        user = await user_writes.insert(db, organization_id, profile, now, origin)
    else:
        user = found.user
    if found is None or found.linked_to != identity.object_identifier:
        await identities.link(db, organization_id, identity.object_identifier, user.user_id)
    return SignInResult(await _create_session(db, token, user.user_id, now), created=found is None)


async def _make_administrator(
    db: asyncpg.Connection, organization_id: UUID, profile: Profile, now: datetime, origin: Origin
) -> AdministratorResult:
    row = await db.fetchrow(
        _LOCK_SAME_NAME,
        organization_id, profile.user_name, users.ADMINISTRATOR,
    )  # fmt: skip
    if row is None:
        profile = sessions.with_administrator(profile)
        user = await user_writes.insert(db, organization_id, profile, now, origin)
        return AdministratorResult(user, created=True)
    user = user_rows.user(row)
    sessions.check_active(user)
    if not row["administrator"]:
        profile = sessions.with_administrator(user.profile)
        user = await _write_locked(db, user, profile, now, origin)
    return AdministratorResult(user, created=False)


async def _write_locked(
    db: asyncpg.Connection, user: User, profile: Profile, now: datetime, origin: Origin
) -> User:
    written = await user_writes.write(db, user, profile, now, origin)
    if written is None:
        raise AssertionError("a locked user has the version that it was read with")
    return written


async def _lock_user(db: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> User | None:
    row = await db.fetchrow(_LOCK_USER, organization_id, user_id)
    return None if row is None else user_rows.user(row)


async def _end_replaced(db: asyncpg.Connection, replaced: ReplacedSession | None) -> None:
    if replaced is not None:
        await db.execute(_END, replaced.organization_id, replaced.session_id.digest)


async def _create_session(
    db: asyncpg.Connection, token: Token, user_id: UUID, now: datetime
) -> Session:
    """Start the session of a user that is locked and active; end those beyond MAX_SESSIONS."""
    await db.execute(_END_OLDEST, token.organization_id, user_id, sessions.MAX_SESSIONS - 1)
    row = await db.fetchrow(
        _CREATE_SESSION,
        token.organization_id, token.secret_digest, user_id, now, now + sessions.IDLE_TIMEOUT,
        now + sessions.SESSION_LIFETIME, users.ADMINISTRATOR,
    )  # fmt: skip
    return _session(row)


def _session(row: Row) -> Session:
    (
        organization_id, user_id, user_name, display_name, given_name, family_name, administrator,
        create_time, expire_time, digest,
    ) = row  # fmt: skip
    name = sessions.display_name_of(display_name, given_name, family_name, user_name)
    return Session(
        organization_id, user_id, user_name, name, administrator, create_time, expire_time,
        SessionId(digest),
    )  # fmt: skip


# --- statements -------------------------------------------------------------------------

_LOCK_USER: Final = f"""
    SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND user_id = $2 FOR NO KEY UPDATE
"""  # noqa: S608

_SELECT_USER_OF_LINK: Final = f"""
    SELECT {COLUMNS}
      FROM users
     WHERE organization_id = $1
       AND user_id = (SELECT user_id
                        FROM sign_in_links
                       WHERE organization_id = $1 AND secret_digest = $2 AND expire_time > $3)
"""  # noqa: S608
_LOCK_USER_OF_LINK: Final = f"{_SELECT_USER_OF_LINK} FOR NO KEY UPDATE"

_SELECT_SAME_NAME: Final = f"""
    SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND fold(user_name) = fold($2)
"""  # noqa: S608

_LOCK_SAME_NAME: Final = f"""
    SELECT {COLUMNS}, has_role(roles, $3) AS administrator
      FROM users
     WHERE organization_id = $1 AND fold(user_name) = fold($2)
       FOR NO KEY UPDATE
"""  # noqa: S608

_CREATE_SESSION: Final = """
    WITH created AS (
        INSERT INTO sessions
            (organization_id, secret_digest, user_id, create_time, expire_time, end_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING create_time, expire_time
    )
    SELECT organization_id, user_id, user_name, coalesce(display_name, ''),
           coalesce(given_name, ''), coalesce(family_name, ''), has_role(roles, $7),
           created.create_time, expire_time, $2::bytea
      FROM users, created
     WHERE organization_id = $1 AND user_id = $3
"""

_USE: Final = """
    WITH found AS MATERIALIZED (
        SELECT organization_id, user_id, user_name, coalesce(display_name, '') AS display_name,
               coalesce(given_name, '') AS given_name, coalesce(family_name, '') AS family_name,
               has_role(roles, $6) AS administrator, sessions.create_time, expire_time
          FROM sessions
          JOIN users USING (organization_id, user_id)
         WHERE organization_id = $1 AND secret_digest = $2 AND expire_time > $3 AND active
    ), extended AS (
        UPDATE sessions
           SET expire_time = least($4, end_time)
         WHERE organization_id = $1 AND secret_digest = $2
           AND expire_time <= least($4, end_time) - $5::interval
           AND EXISTS (SELECT FROM found)
        RETURNING expire_time
    )
    SELECT organization_id, user_id, user_name, display_name, given_name, family_name,
           administrator, create_time, coalesce(extended.expire_time, found.expire_time), $2::bytea
      FROM found LEFT JOIN extended ON true
"""

_END: Final = "DELETE FROM sessions WHERE organization_id = $1 AND secret_digest = $2"

# The user is locked, so no other sign-in of the user creates a session meanwhile.
_END_OLDEST: Final = """
    DELETE FROM sessions
     USING (SELECT secret_digest
              FROM (SELECT secret_digest, create_time
                      FROM sessions
                     WHERE organization_id = $1 AND user_id = $2
                    OFFSET 0) AS of_user
             ORDER BY create_time DESC, secret_digest
            OFFSET $3) AS oldest
     WHERE organization_id = $1 AND sessions.secret_digest = oldest.secret_digest
"""

_SESSION_COLUMNS: Final = """
    organization_id, user_id, user_name, coalesce(display_name, ''), coalesce(given_name, ''),
    coalesce(family_name, ''), has_role(roles, {role}), session.create_time, expire_time,
    secret_digest
"""

_LIST: Final = f"""
    SELECT {_SESSION_COLUMNS.format(role="$4")}
      FROM sessions AS session
     CROSS JOIN LATERAL (SELECT user_name, display_name, given_name, family_name, roles
                           FROM users
                          WHERE organization_id = $1 AND user_id = session.user_id AND active
                         OFFSET 0) AS signed_in
     WHERE organization_id = $1 AND expire_time > $2
     ORDER BY session.create_time DESC, secret_digest
     LIMIT $3
"""  # noqa: S608
_LIST_OF_USER: Final = _LIST.replace("expire_time > $2", "expire_time > $2 AND user_id = $5")

_END_ONE: Final = f"""
    WITH session AS (
        DELETE FROM sessions
         WHERE organization_id = $1 AND secret_digest = $2 AND expire_time > $3
        RETURNING organization_id, user_id, create_time, expire_time, secret_digest
    )
    SELECT {_SESSION_COLUMNS.format(role="$4")}
      FROM session
      JOIN users USING (organization_id, user_id)
"""  # noqa: S608

_END_ALL: Final = f"""
    WITH session AS (
        DELETE FROM sessions
         WHERE organization_id = $1
        RETURNING organization_id, user_id, create_time, expire_time, secret_digest
    )
    SELECT {_SESSION_COLUMNS.format(role="$2")}
      FROM session
      JOIN users USING (organization_id, user_id)
"""  # noqa: S608
_END_ALL_OF_USER: Final = _END_ALL.replace("= $1\n", "= $1 AND user_id = $3\n", 1)

_DELETE_LINKS: Final = "DELETE FROM sign_in_links WHERE organization_id = $1"
_DELETE_LINKS_OF_USER: Final = f"{_DELETE_LINKS} AND user_id = $2"

# SKIP LOCKED: replicas that run this at the same time delete different rows.
_DELETE_EXPIRED_SESSIONS: Final = """
    WITH deleted AS (
        DELETE FROM sessions
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM sessions
                                 WHERE expire_time <= now() - $1::interval
                                 ORDER BY expire_time
                                 LIMIT $2
                                   FOR UPDATE SKIP LOCKED))
        RETURNING true
    )
    SELECT count(*) FROM deleted
"""

_DELETE_EXPIRED_LINKS: Final = _DELETE_EXPIRED_SESSIONS.replace(
    "FROM sessions", "FROM sign_in_links"
)
_DELETE_EXPIRED_ASSERTIONS: Final = _DELETE_EXPIRED_SESSIONS.replace(
    "FROM sessions", "FROM taken_assertions"
)
