"""The SQL of proofs of e-mail domains."""

from dataclasses import astuple, fields, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.clock import Clock
from chassis.database.pool import Database
from chassis.errors import InvalidField, Refusal
from keysvc.domain import sso_domains
from keysvc.domain.audit import Action, Actor
from keysvc.domain.errors import SSO_DOMAIN_TAKEN
from keysvc.domain.sso_domains import (
    CHECKER,
    FREQUENT_CHECKS_TIME,
    DomainCheck,
    Outcome,
    SsoDomain,
)
from keysvc.store.audit import record_action
from keysvc.store.common import lock_organization


class SsoDomainStore:
    """Leases checks of domains, and records their results. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, limit: int, now: datetime) -> list[SsoDomain]:
        """The domains that are due for a check, the longest overdue first.

        They are due again after LEASE_TIME, unless their check is recorded before.
        """
        async with self._database.writer() as db:
            rows = await db.fetch(_LEASE, now, limit, now + sso_domains.LEASE_TIME)
        return [domain_of(row) for row in rows]

    async def record_check(self, check: DomainCheck, clock: Clock) -> SsoDomain | None:
        """Record a check. Returns the domain, or None if it no longer exists.

        A check of an earlier token is ignored. After a check that a person asked for, the next ones
        follow every few minutes. Refuses ORGANIZATION_NOT_FOUND, and SSO_DOMAIN_TAKEN (the record
        was found, but another organization has proven the domain; the check is recorded).
        """
        async with self._database.transaction() as db:
            await lock_organization(db, check.organization_id)
            before = await _lock(db, check.organization_id, check.domain)
            if before is None or before.token != check.token:
                return before
            now = clock()
            if check.actor is not None:
                before = replace(before, check_until=now + FREQUENT_CHECKS_TIME)
            after = sso_domains.after_check(before, check.outcome, now)
            is_taken = _is_new_proof(before, after) and await _is_proven_elsewhere(db, before)
            if is_taken:
                after = sso_domains.after_check(before, Outcome.NOT_FOUND, now)
            elif _is_new_proof(before, after):
                await _end_other_grace(db, before, now)
            await _write(db, after)
            if (action := sso_domains.audit_action(before, after)) is not None:
                actor = check.actor or CHECKER
                await record_action(
                    db, before.organization_id, action, actor, now, domain=before.domain
                )
        if is_taken:
            raise Refusal(SSO_DOMAIN_TAKEN, check.domain)
        return after

    async def verify(
        self, organization_id: UUID, domain: str, reason: str, actor: Actor, clock: Clock
    ) -> SsoDomain:
        """Prove a domain by an operator's decision. No effect on an earlier decision.

        Refuses ORGANIZATION_NOT_FOUND, SSO_DOMAIN_TAKEN and InvalidField (not a domain of the
        organization).
        """
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            before = await _lock(db, organization_id, domain)
            if before is None:
                raise InvalidField("domain", "is not a domain of the organization")
            if before.is_override:
                return before
            if await _is_proven_elsewhere(db, before):
                raise Refusal(SSO_DOMAIN_TAKEN, domain)
            now = clock()
            await _end_other_grace(db, before, now)
            after = sso_domains.verified_by_operator(before, now)
            await _write(db, after)
            await record_action(
                db, organization_id, Action.DOMAIN_VERIFIED, actor, now,
                domain=domain, reason=reason,
            )  # fmt: skip
            return after


async def select_domains(db: asyncpg.Connection, organization_id: UUID) -> tuple[SsoDomain, ...]:
    """The domains of an organization, in alphabetical order."""
    return tuple(domain_of(row) for row in await db.fetch(_SELECT_ALL, organization_id))


def domain_of(row: asyncpg.Record) -> SsoDomain:
    """The domain in a row of COLUMNS."""
    return SsoDomain(**row)


async def _lock(db: asyncpg.Connection, organization_id: UUID, domain: str) -> SsoDomain | None:
    """Lock the domain, for all organizations that claim it, and then the organization's claim.

    Organizations that prove a domain at the same time take turns: each then sees the previous one.
    The order matters, because a proof also changes the claims of others.
    """
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", domain)
    row = await db.fetchrow(_LOCK, organization_id, domain)
    return None if row is None else domain_of(row)


def _is_new_proof(before: SsoDomain, after: SsoDomain) -> bool:
    return before.proven_time is None and after.proven_time is not None


async def _is_proven_elsewhere(db: asyncpg.Connection, domain: SsoDomain) -> bool:
    """Whether another organization has proven the domain, which is locked."""
    found: bool = await db.fetchval(_IS_PROVEN_ELSEWHERE, domain.organization_id, domain.domain)
    return found


async def _end_other_grace(db: asyncpg.Connection, domain: SsoDomain, now: datetime) -> None:
    """End the grace period of another organization: the domain is now proven not to be its own."""
    rows = await db.fetch(_END_OTHER_GRACE, domain.organization_id, domain.domain, now)
    for row in rows:
        await record_action(
            db, row["organization_id"], Action.DOMAIN_LOST, CHECKER, now, domain=domain.domain
        )


async def _write(db: asyncpg.Connection, domain: SsoDomain) -> None:
    await db.execute(_WRITE, *astuple(domain))


# --- statements -------------------------------------------------------------------------

COLUMNS: Final = ", ".join(each.name for each in fields(SsoDomain))

_SELECT_ALL: Final = f"""
    SELECT {COLUMNS} FROM sso_domains WHERE organization_id = $1 ORDER BY domain
"""  # noqa: S608

_LOCK: Final = f"""
    SELECT {COLUMNS}
      FROM sso_domains
     WHERE organization_id = $1 AND domain = $2
       FOR NO KEY UPDATE
"""  # noqa: S608

# SKIP LOCKED: gateways that lease at the same time get different domains.
_LEASE: Final = f"""
    UPDATE sso_domains
       SET next_check_time = $3
      FROM (SELECT organization_id, domain
              FROM sso_domains
             WHERE next_check_time <= $1 AND NOT is_override
             ORDER BY next_check_time
             LIMIT $2
               FOR NO KEY UPDATE SKIP LOCKED) AS due
     WHERE sso_domains.organization_id = due.organization_id
       AND sso_domains.domain = due.domain
    RETURNING {", ".join(f"sso_domains.{each.name}" for each in fields(SsoDomain))}
"""  # noqa: S608

_IS_PROVEN_ELSEWHERE: Final = """
    SELECT EXISTS (SELECT
                     FROM sso_domains
                    WHERE domain = $2 AND proven_time IS NOT NULL AND organization_id <> $1)
"""

_END_OTHER_GRACE: Final = """
    UPDATE sso_domains
       SET grace_until = NULL, lost_time = $3
     WHERE domain = $2 AND grace_until IS NOT NULL AND organization_id <> $1
    RETURNING organization_id
"""

_WRITE: Final = """
    UPDATE sso_domains
       SET token = $3, create_time = $4, check_until = $5, next_check_time = $6, proven_time = $7,
           is_override = $8, grace_until = $9, last_check_time = $10, failing_since = $11,
           failed_checks = $12, lost_time = $13
     WHERE organization_id = $1 AND domain = $2
"""
