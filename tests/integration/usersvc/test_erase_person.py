"""`erase-person` deletes every trace of a person from the database."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import grpc
import pytest
from cloudacademy.users.v1 import groups_pb2, users_pb2
from cloudacademy.users.v1.activity_pb2 import Activity
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.groups_pb2 import MemberChange
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub
from cloudacademy.users.v1.users_pb2 import TypedValue, User
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from cloudacademy.users.v1.walks_pb2_grpc import WalkServiceStub
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.support.catalogue.columns import PERSONAL, count_rows_with, pairs
from tests.support.clocks import StoppedClock
from tests.support.postgres import TestPostgres
from tests.support.usersvc.activity_calls import list_activities, record_refusal, roll_up
from tests.support.usersvc.change_calls import kind, watch_changes
from tests.support.usersvc.commands import Run, run_json
from tests.support.usersvc.group_calls import get_group, update_group
from tests.support.usersvc.schema_calls import attribute, badge, create_schema
from tests.support.usersvc.session_calls import (
    create_link,
    sign_in_with_assertion,
    sign_in_with_link,
)
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, get, list_users, update
from tests.support.usersvc.walk_calls import save_walk

MARKER = "zyxmark"
NAME = f"O'{MARKER}+ü@corp.test"
OID = "5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c99"
SPELLINGS = {
    "unchanged": f'{{"userName":"{NAME}","nickName":"{MARKER} nick"}}',
    "in other case": f'{{"userName":"{NAME.upper()}"}}',
    "escaped by .NET": f'{{"userName":"O\\u0027{MARKER}\\u002B\\u00FC@corp.test"}}',
    "escaped, in upper case": f'{{"userName":"O\\u0027{MARKER.upper()}\\u002b\\u00dc@CORP.test"}}',
    "after a hundred other values": json.dumps(
        {f"x{n}": str(n) for n in range(101)} | {"userName": NAME}, ensure_ascii=False
    ),
    "by the display name": f'{{"displayName":"{MARKER}-display_name", "phone": "1"}}',
}
BOB = '{"userName":"bob@corp.test"}'
Dump = Callable[[], Awaitable[str]]
TARGETS = (
    f"/Users?filter=userName eq %22O'{MARKER}%2B%C3%BC@corp.test%22",
    f"/Users?filter=userName+eq+%22O%27{MARKER}%2b%c3%bc%40corp.test%22",
    f"/Users?filter=displayName%20eq%20'{MARKER}-display_name'&x=1",
    f"/Users?filter=displayName+eq+(phone+{MARKER}-phone_numbers-value)",
    f"/Users/O%27{MARKER}%2B%C3%BC@corp.test",
)


def fill(message: Message, prefix: str = "") -> Message:
    """Write the marker into each text field of a message; returns the message."""
    for field in message.DESCRIPTOR.fields:
        name = f"{prefix}{field.name}"
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(message, field.name, f"{MARKER}-{name}")
        elif field.name in ("extensions", "groups", "create_time", "update_time"):
            continue
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            fill(inner.add() if field.is_repeated else inner, f"{name}-")
    return message


def full_user_fields(**fields: object) -> dict[str, object]:
    """A value for each field of a user that a create may set."""
    user = fill(User())
    values = {field.name: value for field, value in user.ListFields()}
    for output in ("id", "organization_id", "etag"):
        del values[output]
    return values | {"user_name": NAME, "active": True} | fields


@dataclass
class Service:
    """The stubs through which personal data enters the service."""

    users: UserServiceStub
    groups: GroupServiceStub
    sessions: SessionServiceStub
    activities: ActivityServiceStub
    clock: StoppedClock

    async def create_group(self, name: str, *members: str) -> str:
        """Create a group and return its id; unknown members are kept as they were given."""
        request = groups_pb2.CreateGroupRequest(
            organization_id=ACME,
            group=groups_pb2.Group(display_name=name),
            member_ids=members,
            keep_unknown_members=True,
        )
        return (await self.groups.CreateGroup(request)).group.id

    async def record_refused(self, body: str = "", **fields: object) -> None:
        """Record a refused request."""
        texts = {"target": "/Users", "detail": "Taken."}
        refusal = {name: fields.pop(name, text) for name, text in texts.items()} | {"body": body}
        await record_refusal(self.activities, self.clock, refusal=refusal, **fields)

    async def refusals(self) -> list[str]:
        """The bodies that are still stored of refused requests, newest first."""
        found = [entry.refusal for entry in await list_activities(self.activities)]
        return [refusal.body for refusal in found if refusal.body]


@pytest.fixture
def service(channel: grpc.aio.Channel, clock: StoppedClock) -> Service:
    stubs = (UserServiceStub, GroupServiceStub, SessionServiceStub, ActivityServiceStub)
    return Service(*(stub(channel) for stub in stubs), clock)


@pytest.fixture
async def person_id(service: Service, schemas: SchemaServiceStub, channel: grpc.aio.Channel) -> str:
    """The user id of a person with data in every column that can hold personal data."""
    users, sessions = service.users, service.sessions
    await create_schema(schemas, attribute("nickname"))
    user = await create_repeatably(users, extensions=badge(nickname=f"{MARKER} badge"))
    await update(
        users, user.id, user_name=f"{MARKER}2@corp.test", title=f"{MARKER} other",
        emails=[TypedValue(value=f"new.{MARKER}@corp.test")],
    )  # fmt: skip
    await update(users, user.id, user_name=NAME, active=False)
    await update(users, user.id, active=True)
    await sign_in_with_assertion(sessions, service.clock.now, f"{MARKER}-oid", NAME)
    await create_link(sessions, user.id)
    await sign_in_with_link(sessions, user.id)
    await service.create_group("hers", user.id, NAME.upper(), f"new.{MARKER}@corp.test")
    other_group = await service.create_group("nobody's", "nobody")
    unknown = MemberChange(add_member_ids=[user.external_id], keep_unknown=True)
    await update_group(service.groups, other_group, members=unknown)
    report = await create(users, "report")
    await update(users, report.id, enterprise={"manager": {"value": NAME.lower()}})
    await create(users, "report-by-id", enterprise={"manager": {"value": user.id}})
    for body in SPELLINGS.values():
        await service.record_refused(body)
    for target in TARGETS:
        await service.record_refused(target=target)
    await service.record_refused(MARKER, resource_id=user.id)
    await service.record_refused(detail=f"{NAME} is taken.")
    await service.record_refused(resource_name=f"{MARKER}2@corp.test")
    position = f"0:0:{NAME}".encode()
    await save_walk(WalkServiceStub(channel), page_position=position, next_position=position)
    return user.id


async def log_of(service: Service, user: User) -> list[Activity]:
    """The log entries of a user."""
    return [
        each for each in await list_activities(service.activities) if each.resource_id == user.id
    ]


async def create_repeatably(stub, **fields: object) -> User:
    """Create with a request id, so that a digest of the request is stored."""
    request = users_pb2.CreateUserRequest(
        organization_id=ACME, request_id=str(uuid4()), user=User(**full_user_fields(**fields))
    )
    return (await stub.CreateUser(request)).user


@pytest.fixture
def dump_database(users_url: str, postgres_cluster: TestPostgres) -> Dump:
    """Returns a function that dumps the whole database as text, in lower case."""

    def dump() -> str:
        pg_dump = postgres_cluster.cluster.programs.path("pg_dump")
        completed = subprocess.run([pg_dump, users_url], capture_output=True, check=True, text=True)
        return completed.stdout.lower()

    return lambda: asyncio.to_thread(dump)


async def statistics_values(db: asyncpg.Connection) -> str:
    """The column values that the planner's statistics contain."""
    rows = await db.fetch(
        "SELECT to_jsonb(s)::text FROM pg_stats AS s WHERE schemaname = 'public'"
        " UNION ALL SELECT to_jsonb(s)::text FROM pg_stats_ext_exprs AS s"
    )
    return " ".join(row[0] for row in rows).lower()


async def test_erase_leaves_no_trace_of_the_person(person_id, run, db, dump_database, users_url):
    await roll_up(users_url)
    await db.execute("ANALYZE")
    assert MARKER in await statistics_values(db)
    before = {
        (table, column): await count_rows_with(db, table, column, MARKER)
        for table, column in pairs(PERSONAL["usersvc"])
    }
    # A deletion writes its digests itself; all other data must exist before the erasure.
    assert [column for column, rows in before.items() if not rows] == [
        ("deleted_identities", "digest")
    ]

    result = await run_json(run, "erase-person", ACME, NAME.upper())

    assert result["user_id"] == person_id
    assert result["still_named_by"] == {"users": [], "groups": []}
    assert MARKER not in await dump_database()
    assert MARKER not in await statistics_values(db)
    binary = ("create_requests", "deleted_identities", "sessions", "sign_in_links", "list_walks")
    assert [await db.fetchval(f"SELECT count(*) FROM {table}") for table in binary] == [0] * 5


async def test_erase_prints_the_number_of_erased_rows_by_kind(person_id, run):
    result = await run_json(run, "erase-person", ACME, person_id)

    assert result["erased"] == {
        "users": 1, "group_users": 1, "sessions": 2, "sign_in_links": 1, "linked_identities": 1,
        "log": 4, "log_of_others": 2, "refusals": len(SPELLINGS) + len(TARGETS) + 3,
        "managers": 2, "unknown_members": 2, "create_requests": 1,
        "list_walks": 1, "deleted_identities": 2, "logged_names": 0,
    }  # fmt: skip
    in_a_month = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    assert result["kept"] == {
        "feed": {"what": "the user id", "until": in_a_month},
        "backups": {"what": "all of it", "until": in_a_month},
        "keysvc": {"what": "the audit trail", "until": "python -m keysvc erase-person"},
    }


async def test_erase_keeps_data_of_others_and_reports_to_the_feed(
    person_id: str, service: Service, run: Run, changes: ChangeServiceStub
):
    users = service.users
    bob = await create(users, "bob", title="somebody")
    crew = await get_group(service.groups, await service.create_group("crew", bob.id, "nobody"))
    await record_refusal(service.activities, service.clock, refusal={"body": BOB})
    namesake = await create(users, NAME, GLOBEX)

    async with watch_changes(changes, organization_id=ACME) as reader:
        await run_json(run, "erase-person", ACME, NAME)
        reported = [kind(change) for change in await reader.until(6)]

    assert await get(users, bob.id) == bob
    assert await get_group(service.groups, crew.id) == crew
    assert await get(users, namesake.id, GLOBEX) == namesake
    assert await service.refusals() == [BOB]
    assert sorted(reported) == [
        *("GROUP_UPDATED", "GROUP_UPDATED", "MEMBERS_REMOVED"),
        *("USER_DELETED", "USER_UPDATED", "USER_UPDATED"),
    ]


async def test_erase_deletes_logged_names_of_groups_that_name_the_person(
    service, run, db, users_url
):
    users = service.users
    ann = await create(users, "ann@corp.test")
    team = await service.create_group("Team of Ann@corp.test")
    await create(users, "joann@corp.test")
    await roll_up(users_url)
    await update_group(service.groups, team, "display_name", display_name="Team")
    await roll_up(users_url)

    done = await run_json(run, "erase-person", ACME, ann.id)

    assert done["erased"]["logged_names"] == 1
    names = await db.fetch("SELECT name FROM logged_names ORDER BY name")
    assert [name for (name,) in names] == ["joann@corp.test", "team"]


async def test_erase_reports_records_of_others_that_name_the_person(users, service, run):
    ann = await create(users, "ann@corp.test")
    bob = await create(users, "bob", title="assistant of Ann@Corp.test")
    await create(users, "joann@corp.test")
    team = await service.create_group("team of ann@corp.test")

    result = await run_json(run, "erase-person", ACME, ann.id)

    assert result["still_named_by"] == {"users": [bob.id], "groups": [team]}


async def test_deleted_person_is_erased_by_identifiers_from_operator(
    service: Service, run: Run, dump_database: Dump
):
    users, sessions, now = service.users, service.sessions, service.clock.now
    ann = await create(users, "ann@corp.test", external_id=OID)
    await delete(users, ann.id)
    await service.create_group("late", "ann@corp.test")
    await service.record_refused('{"userName":"ann@corp.test"}')
    await service.record_refused(resource_id=ann.id, target=f"/Users/{ann.id}?x=ann@corp.test")
    command = ("erase-person", ACME, ann.id, "--also", "ANN@corp.test", "--also", OID.upper())

    result = await run_json(run, *command)

    assert (result["user_id"], result["erased"]["deleted_identities"]) == (ann.id, 2)
    assert "ann@corp.test" not in await dump_database()
    assert set((await run_json(run, *command))["erased"].values()) == {0}
    # No record of the deletion is left.
    assert (
        await sign_in_with_assertion(sessions, now, OID, "ann@corp.test", create_missing=True)
    ).created


@pytest.mark.parametrize("former_names", [["ann@corp.test"], ["ann@corp.test", OID]])
async def test_new_holder_of_a_name_is_not_erased_with_the_former(service, run, former_names):
    users = service.users
    old = await create(users, "ann@corp.test", external_id=OID)
    await delete(users, old.id)
    new = await create(users, "Ann@corp.test", emails=[TypedValue(value="ann@corp.test")])
    successor = await update(users, new.id, title="new here")
    await service.record_refused('{"userName":"ann@corp.test"}')
    await service.record_refused('{"title":"of ann@corp.test"}', resource_id=successor.id)
    log = await log_of(service, successor)
    also = [word for name in former_names for word in ("--also", name)]

    for id_or_user_name in (old.id, OID, "nobody@corp.test"):
        result = await run_json(run, "erase-person", ACME, id_or_user_name, *also)

        assert result["erased"]["users"] == 0
        assert result["still_named_by"] == {"users": [successor.id], "groups": []}
        assert await get(users, successor.id) == successor
        assert await log_of(service, successor) == log
    assert await service.refusals() == ['{"title":"of ann@corp.test"}']


@pytest.mark.parametrize("kept", [{"external_id": OID}, {"emails": [TypedValue(value=OID)]}])
async def test_user_with_an_identifier_of_the_erased_keeps_its_log(service, run, kept):
    users = service.users
    ann = await create(users, "ann@corp.test")
    await update(users, ann.id, user_name="ann.b@corp.test")
    successor = await create(users, "ann@corp.test")
    other = await create(users, "other@corp.test", **kept)
    logs = [await log_of(service, each) for each in (successor, other)]

    result = await run_json(run, "erase-person", ACME, "ann.b@corp.test", "--also", OID)

    assert (result["user_id"], result["erased"]["users"]) == (ann.id, 1)
    assert set(result["still_named_by"]["users"]) == {successor.id, other.id}
    assert [await log_of(service, each) for each in (successor, other)] == logs
    assert list((await list_users(users)).users) == [successor, other]


async def test_erase_does_not_touch_another_organization(users, run):
    ann = await create(users, "ann@corp.test")
    result = await run_json(run, "erase-person", GLOBEX, ann.id, "--also", "ann@corp.test")
    assert set(result["erased"].values()) == {0}
    assert await get(users, ann.id) == ann


@pytest.mark.parametrize("name", ["a", ".*", "a|b", "(", "ann[", "\\", "a{2}", "^$", "ü", "%_"])
async def test_erase_matches_a_name_literally(users, service, run, name):
    await create(users, name)
    bob = await create(users, "bob@corp.test", title="x")
    await record_refusal(service.activities, service.clock, refusal={"body": BOB})

    await run_json(run, "erase-person", ACME, name)

    assert list((await list_users(users)).users) == [bob]
    assert await service.refusals() == [BOB]


async def test_erase_refuses_a_name_of_fewer_than_three_characters(run):
    assert await run("erase-person", ACME, "ann", "--also", "x") == (
        *(1, ""),
        "usersvc: --also: is shorter than 3 characters\n",
    )
