"""`erase-person` erases names and addresses from recorded actions and keys, which stay."""

import asyncio
import json
import subprocess
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.keys.v1 import keys_pb2 as pb

from tests.support.catalogue.columns import PERSONAL, count_rows_with, pairs
from tests.support.keysvc.process import KeysvcCommands
from tests.support.keysvc.replicas import Replica
from tests.support.postgres import TestPostgres

MARKER = "zyxmark"
NAME = f"{MARKER}@acme.test"
ADDRESS = "198.51.100.77"
USER_ID = str(uuid4())


async def record_actions(keysvc: Replica, organization_id: str, actor: audit_pb2.Actor) -> None:
    """Perform actions that record the actor."""
    common_fields = {"organization_id": organization_id, "actor": actor}
    generated = await keysvc.keys.GenerateKey(pb.GenerateKeyRequest(**common_fields))
    await keysvc.keys.RevokeKey(pb.RevokeKeyRequest(key_id=generated.key.id, **common_fields))


async def erase(keys_url: str, *arguments: str) -> dict[str, Any]:
    result = await asyncio.to_thread(KeysvcCommands(keys_url).run_json, "erase-person", *arguments)
    assert MARKER not in json.dumps(result)  # the result is archived, so it must contain no name
    return result


def row_counts(audit_events: int, api_key: int) -> dict[str, int]:
    return {"audit_events": audit_events, "api_key": api_key}


async def recorded_actors(keysvc: Replica, organization_id: str) -> list[audit_pb2.Actor]:
    return [event.actor for event in await keysvc.audit_events(organization_id)]


async def test_erasure_removes_a_person_and_keeps_the_actions(
    keysvc: Replica, keys_url: str, postgres_cluster: TestPostgres
):
    acme = await keysvc.create()
    other = audit_pb2.Actor(id=str(uuid4()), display_name="bob@acme.test", address="192.0.2.7")
    await record_actions(
        keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME, address=ADDRESS)
    )
    await record_actions(keysvc, acme, audit_pb2.Actor(id=NAME.upper(), display_name=NAME))
    await record_actions(keysvc, acme, other)
    operator, db = KeysvcCommands(keys_url), await asyncpg.connect(keys_url)
    await asyncio.to_thread(operator.run_json, "generate-key", acme, "--created-by", MARKER)
    await db.execute("ANALYZE")
    pattern = f"{MARKER}|{ADDRESS}"
    columns = pairs(PERSONAL["keysvc"])
    assert [column for column in columns if not await count_rows_with(db, *column, pattern)] == []
    arguments = ("erase-person", acme, USER_ID, "--also", NAME, "--also", MARKER)

    result = await asyncio.to_thread(operator.run_json, *arguments)

    assert result == {
        "dry_run": False,
        "erased": row_counts(5, 3),
        "by_name": [row_counts(2, 1), row_counts(2, 1), row_counts(1, 1)],
        "same_name": {},
    }
    erased_person = audit_pb2.Actor(id=USER_ID, display_name="erased")
    erased_id = audit_pb2.Actor(id="erased", display_name="erased")
    assert (await recorded_actors(keysvc, acme))[:7] == [
        audit_pb2.Actor(id="operator", display_name="erased"),
        *(other, other, erased_id, erased_id, erased_person, erased_person),
    ]
    creators = [key.created_by for key in await keysvc.list(acme)]
    assert sorted(creators) == sorted(["erased", "erased", other.id, USER_ID])
    dump = [postgres_cluster.cluster.programs.path("pg_dump"), keys_url]
    text = await asyncio.to_thread(subprocess.run, dump, capture_output=True, check=True)
    assert [mark for mark in (MARKER, ADDRESS) if mark.encode() in text.stdout.lower()] == []
    samples = await db.fetch("SELECT to_jsonb(s)::text FROM pg_stats AS s")
    await db.close()
    assert MARKER not in " ".join(row[0] for row in samples).lower()
    assert (await asyncio.to_thread(operator.run_json, *arguments))["erased"] == row_counts(0, 0)


async def test_erasure_keeps_and_reports_a_user_with_the_same_name(keysvc: Replica, keys_url: str):
    acme, namesake = await keysvc.create(), str(uuid4())
    for user in (USER_ID, namesake):
        await record_actions(
            keysvc, acme, audit_pb2.Actor(id=user, display_name=NAME, address=ADDRESS)
        )

    result = await erase(keys_url, acme, USER_ID, "--also", NAME)

    assert result["erased"] == row_counts(2, 1)
    assert result["same_name"] == {namesake: row_counts(2, 1)}
    erased_person = audit_pb2.Actor(id=USER_ID, display_name="erased")
    other = audit_pb2.Actor(id=namesake, display_name=NAME, address=ADDRESS)
    assert (await recorded_actors(keysvc, acme))[:4] == [other, other, erased_person, erased_person]
    keys = {(key.created_by, key.created_by_name) for key in await keysvc.list(acme)}
    assert keys == {(USER_ID, "erased"), (namesake, NAME)}


async def test_erasure_keeps_the_other_person_of_a_key(keysvc: Replica, keys_url: str):
    acme, namesake = await keysvc.create(), audit_pb2.Actor(id=str(uuid4()), display_name=NAME)
    person = audit_pb2.Actor(id=USER_ID, display_name=NAME)
    request = pb.GenerateKeyRequest(organization_id=acme, actor=namesake)
    generated = await keysvc.keys.GenerateKey(request)
    request = pb.RevokeKeyRequest(organization_id=acme, key_id=generated.key.id, actor=person)
    await keysvc.keys.RevokeKey(request)

    result = await erase(keys_url, acme, USER_ID)

    assert result["erased"] == row_counts(1, 1)
    (key,) = await keysvc.list(acme)
    assert (key.created_by, key.created_by_name) == (namesake.id, NAME)
    assert (key.revoked_by, key.revoked_by_name) == (USER_ID, "erased")


async def test_erasure_by_name_reports_the_user_and_erases_nothing(keysvc: Replica, keys_url: str):
    acme = await keysvc.create()
    await record_actions(
        keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME, address=ADDRESS)
    )
    before = await recorded_actors(keysvc, acme)

    result = await erase(keys_url, acme, NAME.upper())

    assert result["erased"] == row_counts(0, 0)
    assert result["same_name"] == {USER_ID: row_counts(2, 1)}
    assert await recorded_actors(keysvc, acme) == before


async def test_former_name_beside_an_erased_id_is_erased(keysvc: Replica, keys_url: str):
    acme = await keysvc.create()
    await record_actions(
        keysvc, acme, audit_pb2.Actor(id=USER_ID.upper(), display_name="former@acme.test")
    )

    assert (await erase(keys_url, acme, USER_ID))["erased"] == row_counts(2, 1)

    assert [actor.display_name for actor in await recorded_actors(keysvc, acme)][:2] == [
        "erased"
    ] * 2


async def test_a_dry_run_counts_and_changes_nothing(keysvc: Replica, keys_url: str):
    acme = await keysvc.create()
    await record_actions(
        keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME, address=ADDRESS)
    )
    await record_actions(keysvc, acme, audit_pb2.Actor(id=str(uuid4()), display_name=NAME))
    before = await recorded_actors(keysvc, acme)

    dry_run = await erase(keys_url, acme, USER_ID, "--also", NAME, "--dry-run")

    assert await recorded_actors(keysvc, acme) == before
    result = await erase(keys_url, acme, USER_ID, "--also", NAME)
    assert dry_run == {**result, "dry_run": True}


async def test_erasure_leaves_other_organizations_unchanged(keysvc: Replica, keys_url: str):
    acme, globex = await keysvc.create("Acme"), await keysvc.create("Globex")
    await record_actions(keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME))
    before = await recorded_actors(keysvc, acme)

    await asyncio.to_thread(KeysvcCommands(keys_url).run_json, "erase-person", globex, USER_ID)

    assert await recorded_actors(keysvc, acme) == before


@pytest.mark.parametrize("name", ["operator Ann", "Operator ANN", "ann"])
async def test_erasure_finds_operators_by_displayed_and_given_name(
    keysvc: Replica, keys_url: str, name: str
):
    acme = await keysvc.create()
    generate = ("generate-key", acme, "--created-by", "Ann")
    await asyncio.to_thread(KeysvcCommands(keys_url).run_json, *generate)

    assert (await erase(keys_url, acme, name))["erased"] == row_counts(1, 1)

    (key,) = await keysvc.list(acme)
    assert (key.created_by, key.created_by_name) == ("erased", "erased")


async def test_id_whose_name_was_erased_earlier_is_erased(keysvc: Replica, keys_url: str):
    acme = await keysvc.create()
    await record_actions(keysvc, acme, audit_pb2.Actor(id="Ann", display_name="erased"))

    assert (await erase(keys_url, acme, "ann"))["erased"] == row_counts(2, 1)

    assert (await recorded_actors(keysvc, acme))[:2] == [
        audit_pb2.Actor(id="erased", display_name="erased")
    ] * 2
    (key,) = await keysvc.list(acme)
    assert (key.created_by, key.revoked_by) == ("erased", "erased")
    assert (await erase(keys_url, acme, "ann"))["erased"] == row_counts(0, 0)


@pytest.mark.parametrize(
    ("stored", "requested"),
    [
        ("ΝΙΚΟΣ", "ΝΙΚΟΣ"),
        ("Νίκος", "ΝΊΚΟΣ"),
        ("ΝΊΚΟΣ", "νίκος"),
        ("İpek", "İpek"),
        ("Ipek", "ipek"),
    ],
)
async def test_erasure_finds_names_in_any_case_and_alphabet(
    keysvc: Replica, keys_url: str, stored: str, requested: str
):
    acme = await keysvc.create()
    await record_actions(keysvc, acme, audit_pb2.Actor(id=stored, display_name=stored))

    assert (await erase(keys_url, acme, requested))["erased"] == row_counts(2, 1)


@pytest.mark.parametrize(
    "name", ["operator", "Erased", " ", "operator operator", " operator  Erased"]
)
def test_erasure_of_a_reserved_name_is_refused(keys_url: str, name: str):
    code, output, errors = KeysvcCommands(keys_url).run("erase-person", USER_ID, name)
    assert (code, output) == (1, "")
    assert errors == f"keysvc: PERSON: must not be {name!r}: that is not the name of a person\n"
