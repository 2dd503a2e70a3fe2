"""The SQL of single sign-on connections."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.clock import Clock
from chassis.database.pool import Database
from chassis.errors import ETAG_MISMATCH, Refusal
from chassis.etags import require_etag
from keysvc.domain import sso
from keysvc.domain.audit import Action, Actor
from keysvc.domain.errors import ORGANIZATION_NOT_FOUND, SSO_CONNECTION_NOT_FOUND
from keysvc.domain.public_mail_domains import is_public_mail
from keysvc.domain.sso import SsoConnection, SsoSetup
from keysvc.domain.sso_domains import FREQUENT_CHECKS_TIME
from keysvc.store.audit import record_action
from keysvc.store.common import lock_organization
from keysvc.store.sso_domains import select_domains


class SsoStore:
    """Stores single sign-on connections. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization_id: UUID) -> SsoConnection:
        """Read a connection; it is empty before its setup. Refuses ORGANIZATION_NOT_FOUND."""
        async with self._database.connection() as db:
            return await _select(db, organization_id)

    async def find_by_domain(self, domain: str, now: datetime) -> SsoConnection:
        """Find the active connection of a domain that is proven, or in its grace period.

        Refuses SSO_CONNECTION_NOT_FOUND.
        """
        if is_public_mail(domain):  # a connection may have it since before it was refused
            raise Refusal(SSO_CONNECTION_NOT_FOUND)
        async with self._database.connection() as db:
            organization_id = await db.fetchval(_FIND, domain, now)
            if organization_id is None:
                raise Refusal(SSO_CONNECTION_NOT_FOUND)
            return await _select(db, organization_id)

    async def release_domain(
        self, domain: str, organization_id: UUID | None, actor: Actor, clock: Clock
    ) -> SsoConnection:
        """Remove a domain from an organization; by default from the one that uses it.

        An organization uses a domain that it has proven, or that has a grace period. Refuses
        SSO_CONNECTION_NOT_FOUND.
        """
        async with self._database.connection() as db:
            organization_id = await db.fetchval(_FIND_USER_OF_DOMAIN, domain, organization_id)
            if organization_id is None:
                raise Refusal(SSO_CONNECTION_NOT_FOUND)
            before = await _select(db, organization_id)
        setup = sso.without_domain(before.setup, domain)
        return await self.update(organization_id, setup, (before.etag,), actor, clock)

    async def update(
        self,
        organization_id: UUID,
        setup: SsoSetup,
        etags: tuple[str, ...],
        actor: Actor,
        clock: Clock,
    ) -> SsoConnection:
        """Set up the connection if `etags` allow it. An equal setup changes nothing.

        A change that invalidates the last test deactivates the connection. Refuses
        ORGANIZATION_NOT_FOUND and ETAG_MISMATCH.
        """
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            before = await _select(db, organization_id)
            require_etag(etags, before.etag)
            changed = sso.changed_fields(before.setup, setup)
            if not changed:
                return before
            now, needs_test = clock(), sso.invalidates_test(changed)
            await db.execute(
                _WRITE,
                *(organization_id, needs_test, now, setup.sso_url, setup.idp_entity_id),
                *(setup.certificates, setup.create_missing_users),
            )
            if "domains" in changed:
                await _write_domains(db, organization_id, setup.domains, now)
            await record_action(db, organization_id, Action.SSO_UPDATED, actor, now, fields=changed)
            if before.active and needs_test:
                await record_action(db, organization_id, Action.SSO_DEACTIVATED, actor, now)
            return await _select(db, organization_id)

    async def record_test(
        self, organization_id: UUID, etag: str, actor: Actor, clock: Clock
    ) -> SsoConnection:
        """Record a successful test of a setup. Refuses ORGANIZATION_NOT_FOUND and ETAG_MISMATCH."""
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            before = await _select(db, organization_id)
            if etag != before.etag or not before.version:
                raise Refusal(ETAG_MISMATCH, before.etag)
            now = clock()
            await db.execute(
                "UPDATE sso_connections SET test_time = $2 WHERE organization_id = $1",
                *(organization_id, now),
            )
            await record_action(db, organization_id, Action.SSO_TESTED, actor, now)
            return await _select(db, organization_id)

    async def set_active(
        self, organization_id: UUID, active: bool, actor: Actor, clock: Clock
    ) -> SsoConnection:
        """Activate or deactivate. Refuses ORGANIZATION_NOT_FOUND and SSO_NOT_TESTED."""
        async with self._database.transaction() as db:
            await lock_organization(db, organization_id)
            before = await _select(db, organization_id)
            if active:
                sso.check_tested(before)
            if before.active is active:
                return before
            now = clock()
            await db.execute(
                "UPDATE sso_connections SET active = $2, update_time = $3"
                " WHERE organization_id = $1",
                *(organization_id, active, now),
            )
            action = Action.SSO_ACTIVATED if active else Action.SSO_DEACTIVATED
            await record_action(db, organization_id, action, actor, now)
            return await _select(db, organization_id)


async def _select(db: asyncpg.Connection, organization_id: UUID) -> SsoConnection:
    row = await db.fetchrow(_SELECT, organization_id)
    if row is None:
        raise Refusal(ORGANIZATION_NOT_FOUND, organization_id)
    return SsoConnection(
        organization_id=organization_id,
        version=row["version"],
        active=row["active"],
        test_time=row["test_time"],
        update_time=row["update_time"],
        setup=SsoSetup(
            row["sso_url"],
            row["idp_entity_id"],
            tuple(row["certificates"]),
            row["create_missing_users"],
            tuple(row["domains"]),
        ),
        organization_name=row["display_name"],
        domains=await select_domains(db, organization_id),
    )


async def _write_domains(
    db: asyncpg.Connection, organization_id: UUID, domains: tuple[str, ...], now: datetime
) -> None:
    """Add and remove domains. A domain that stays keeps its proof; an added one has none."""
    await db.execute(_ADD_DOMAINS, organization_id, domains, now, now + FREQUENT_CHECKS_TIME)
    await db.execute(
        "DELETE FROM sso_domains WHERE organization_id = $1 AND domain <> ALL($2::text[])",
        *(organization_id, domains),
    )


# --- statements -------------------------------------------------------------------------

_SELECT: Final = """
    SELECT coalesce(version, 0) AS version, coalesce(active, false) AS active, test_time,
           coalesce(update_time, organization.create_time) AS update_time,
           coalesce(sso_url, '') AS sso_url, coalesce(idp_entity_id, '') AS idp_entity_id,
           coalesce(certificates, '{}') AS certificates,
           coalesce(create_missing_users, false) AS create_missing_users,
           ARRAY(SELECT domain
                   FROM sso_domains
                  WHERE organization_id = $1
                  ORDER BY domain) AS domains,
           display_name
      FROM organization
      LEFT JOIN sso_connections USING (organization_id)
     WHERE organization_id = $1
"""

# $2: whether the change invalidates the last test.
_WRITE: Final = """
    INSERT INTO sso_connections AS known
        (organization_id, version, active, test_time, update_time, sso_url, idp_entity_id,
         certificates, create_missing_users)
    VALUES ($1, 1, false, NULL, $3, $4, $5, $6, $7)
    ON CONFLICT ON CONSTRAINT sso_connections_pkey DO UPDATE
       SET version = known.version + 1,
           active = known.active AND NOT $2,
           test_time = CASE WHEN $2 THEN NULL ELSE known.test_time END,
           update_time = $3, sso_url = $4, idp_entity_id = $5, certificates = $6,
           create_missing_users = $7
"""

_FIND: Final = """
    SELECT organization_id
      FROM (SELECT organization_id, 1 AS rank
              FROM sso_domains
             WHERE domain = $1 AND proven_time IS NOT NULL
             UNION ALL
            SELECT organization_id, 2
              FROM sso_domains
             WHERE domain = $1 AND grace_until > $2) AS trusted
      JOIN sso_connections USING (organization_id)
     WHERE active
     ORDER BY rank
     LIMIT 1
"""

_FIND_USER_OF_DOMAIN: Final = """
    SELECT organization_id
      FROM (SELECT organization_id, 1 AS rank
              FROM sso_domains
             WHERE organization_id = $2::uuid AND domain = $1
             UNION ALL
            SELECT organization_id, 2
              FROM sso_domains
             WHERE $2 IS NULL AND domain = $1 AND proven_time IS NOT NULL
             UNION ALL
            SELECT organization_id, 3
              FROM sso_domains
             WHERE $2 IS NULL AND domain = $1 AND grace_until IS NOT NULL) AS used
     ORDER BY rank
     LIMIT 1
"""

_ADD_DOMAINS: Final = """
    INSERT INTO sso_domains (organization_id, domain, create_time, next_check_time, check_until)
    SELECT $1, domain, $3, $3, $4
      FROM unnest($2::text[]) AS domain
    ON CONFLICT ON CONSTRAINT sso_domains_pkey DO NOTHING
"""
