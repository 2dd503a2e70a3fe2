"""A database of any version is migrated with all its rows, and today's code reads them."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from cloudacademy.keys.v1.domains_pb2 import Domain
from cloudacademy.keys.v1.sso_pb2 import GetSsoConnectionRequest
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.clock import system_clock
from chassis.database import migrations
from tests.support.data.rows import ACME, ANN, BOB, KEY, OID, ROWS, SESSION, TEAM
from tests.support.keysvc.replicas import MovableClock, running_replica
from tests.support.usersvc.activity_calls import list_activities
from tests.support.usersvc.change_calls import read_snapshot
from tests.support.usersvc.group_calls import get_group, members
from tests.support.usersvc.schema_calls import list_schemas
from tests.support.usersvc.services import open_channel
from tests.support.usersvc.session_calls import get_session, sign_in_with_assertion
from tests.support.usersvc.user_calls import delete, get, list_users, update

ROOT = Path(__file__).resolve().parents[3]
STEPS = {service: migrations.read(ROOT / service / "store" / "migrations") for service in ROWS}
Rows = dict[str, list[str]]


@pytest.fixture
async def db(empty_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_url)
    yield connection
    await connection.close()


async def columns(db: asyncpg.Connection) -> dict[str, list[str]]:
    """The columns of each table except the table of the migrations."""
    rows = await db.fetch(
        """
        SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
          FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
           AND c.relnamespace = 'public'::regnamespace
           AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'schema_migration'
         GROUP BY 1
        """
    )
    return dict(map(tuple, rows))


async def stored_values(db: asyncpg.Connection, columns_by_table: dict[str, list[str]]) -> Rows:
    """The rows of each table, with the given columns only, in a fixed order."""
    return {
        table: sorted(
            str(tuple(row)) for row in await db.fetch(f"SELECT {', '.join(names)} FROM {table}")
        )
        for table, names in columns_by_table.items()
    }


async def columns_without_value(
    db: asyncpg.Connection, columns_by_table: dict[str, list[str]]
) -> list[str]:
    return [
        f"{table}.{name}"
        for table, names in columns_by_table.items()
        for name in names
        if not await db.fetchval(f"SELECT count({name}) FROM {table}")
    ]


async def fill(url: str, db: asyncpg.Connection, service: str, version: int) -> None:
    """Migrate a database to a version, and write rows at each version on the way."""
    for step in range(1, version + 1):
        await migrations.apply(url, STEPS[service][:step])
        if step in ROWS[service]:
            await db.execute(ROWS[service][step])


VERSIONS = [(service, step.version) for service, steps in STEPS.items() for step in steps]


@pytest.mark.parametrize(("service", "version"), VERSIONS)
async def test_database_of_any_version_is_migrated_with_its_rows(service, version, empty_url, db):
    await fill(empty_url, db, service, version)
    old_columns = await columns(db)
    before = await stored_values(db, old_columns)
    assert await columns_without_value(db, old_columns) == []

    await migrations.apply(empty_url, STEPS[service])

    assert await stored_values(db, old_columns) == before
    await READS[service](empty_url, version)
    applied = await db.fetchval("SELECT array_agg(version ORDER BY version) FROM schema_migration")
    assert applied == [step.version for step in STEPS[service]]


async def usersvc_reads(url: str, version: int) -> None:
    """Today's service reads and changes the old rows."""
    async with open_channel(url, system_clock) as channel:
        users, groups = UserServiceStub(channel), GroupServiceStub(channel)
        found = {user.id: user for user in (await list_users(users)).users}
        assert found.keys() == {ANN, BOB}
        ann = found[ANN]
        assert (ann.user_name, ann.name.given_name, ann.title) == ("ann@corp.test", "Ann", "Boss")
        assert (ann.emails[0].value, ann.enterprise.manager.value) == ("ann@corp.test", BOB)
        if version >= 2:
            assert (await get_group(groups, TEAM)).external_id == "team"
            assert await members(groups, TEAM) == [ANN]
        if version >= 3:
            schemas = await list_schemas(SchemaServiceStub(channel))
            assert [schema.name for schema in schemas] == ["Badge"]
            assert ann.extensions["urn:acme:2.0:Badge"].values["number"].text == "7-A"
        if version >= 4:
            entries = await list_activities(ActivityServiceStub(channel))
            assert [entry.resource_id for entry in entries if entry.request_id == "r1"] == [ANN]
        if version >= 6:
            sessions = SessionServiceStub(channel)
            assert (await get_session(sessions, SESSION.text)).user_id == ANN
            signed_in = await sign_in_with_assertion(
                sessions, system_clock(), OID, "other@corp.test"
            )
            assert signed_in.session.user_id == ANN
        snapshot = await read_snapshot(ChangeServiceStub(channel))
        assert snapshot.users.keys() == {ANN, BOB}
        assert (await update(users, BOB, title="New")).title == "New"
        await delete(users, ANN)
        assert (await get(users, BOB)).title == "New"


async def keysvc_reads(url: str, version: int) -> None:
    async with running_replica(url, MovableClock()) as keysvc:
        (key,) = await keysvc.list(ACME)
        assert (key.id, key.created_by, key.revoked_by) == (KEY, "ann", "bob")
        if version >= 2:
            events = await keysvc.audit_events(ACME)
            names = {event.actor.display_name for event in events}
            assert names == {"bob@corp.test"} | ({"operator"} if version >= 6 else set())
            assert len(events) == 1 + (version >= 5) + (version >= 6)
        if version >= 3:
            request = GetSsoConnectionRequest(organization_id=ACME)
            connection = (await keysvc.sso.GetSsoConnection(request)).connection
            assert connection.active
            states = {each.name: each.state for each in connection.domain_proofs}
            assert states == {"corp.test": Domain.STATE_GRACE} | (
                {"proven.test": Domain.STATE_PROVEN} if version >= 6 else {}
            )
        generated = await keysvc.generate(ACME)
        assert UUID((await keysvc.authenticate(generated.token)).organization_id) == UUID(ACME)


READS = {"usersvc": usersvc_reads, "keysvc": keysvc_reads}
