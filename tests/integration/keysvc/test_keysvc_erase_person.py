"""`erase-person`: what was done stays, who did it goes."""

import asyncio
import subprocess
from uuid import uuid4

import asyncpg
import pytest
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.keys.v1 import keys_pb2 as pb

from tests.integration.catalogue.columns import PERSONAL, holding, pairs
from tests.integration.keysvc.replicas import Replica
from tests.integration.keysvc.test_keysvc_process import Keysvc
from tests.postgres import TestPostgres

MARKER = "zyxmark"
NAME = f"{MARKER}@acme.test"
ADDRESS = "198.51.100.77"
USER_ID = str(uuid4())


async def act(keysvc: Replica, organization_id: str, actor: audit_pb2.Actor) -> None:
    """Do something that leaves one's name."""
    whose = {"organization_id": organization_id, "actor": actor}
    made = await keysvc.keys.GenerateKey(pb.GenerateKeyRequest(**whose))
    await keysvc.keys.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.id, **whose))


async def shown(keysvc: Replica, organization_id: str) -> list[audit_pb2.Actor]:
    return [event.actor for event in await keysvc.trail(organization_id)]


async def test_nothing_of_a_person_is_left_but_that_somebody_acted(
    keysvc: Replica, keys_url: str, postgres_cluster: TestPostgres
):
    acme = await keysvc.create()
    other = audit_pb2.Actor(id=str(uuid4()), display_name="bob@acme.test", address="192.0.2.7")
    await act(keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME, address=ADDRESS))
    await act(keysvc, acme, audit_pb2.Actor(id=NAME.upper(), display_name=NAME))
    await act(keysvc, acme, other)
    operator, db = Keysvc(keys_url), await asyncpg.connect(keys_url)
    await asyncio.to_thread(operator.answer, "generate-key", acme, "--created-by", MARKER)
    await db.execute("ANALYZE")
    marks = f"{MARKER}|{ADDRESS}"
    columns = pairs(PERSONAL["keysvc"])
    assert [column for column in columns if not await holding(db, *column, marks)] == []
    arguments = ("erase-person", acme, USER_ID, "--also", NAME, "--also", MARKER)

    done = await asyncio.to_thread(operator.answer, *arguments)

    assert done == {"erased": {"audit_events": 5, "api_key": 3}}
    somebody = audit_pb2.Actor(id=USER_ID, display_name="erased")
    nobody = audit_pb2.Actor(id="erased", display_name="erased")
    assert (await shown(keysvc, acme))[:7] == [
        audit_pb2.Actor(id="operator", display_name="erased"),
        *(other, other, nobody, nobody, somebody, somebody),
    ]
    creators = [key.created_by for key in await keysvc.list(acme)]
    assert sorted(creators) == sorted(["erased", "erased", other.id, USER_ID])
    dump = [postgres_cluster.cluster.programs.path("pg_dump"), keys_url]
    text = await asyncio.to_thread(subprocess.run, dump, capture_output=True, check=True)
    assert [what for what in (MARKER, ADDRESS) if what.encode() in text.stdout.lower()] == []
    samples = await db.fetch("SELECT to_jsonb(s)::text FROM pg_stats AS s")
    await db.close()
    assert MARKER not in " ".join(row[0] for row in samples).lower()
    assert await asyncio.to_thread(operator.answer, *arguments) == {
        "erased": {"audit_events": 0, "api_key": 0}
    }


async def test_another_organizations_trail_is_not_touched(keysvc: Replica, keys_url: str):
    acme, globex = await keysvc.create("Acme"), await keysvc.create("Globex")
    await act(keysvc, acme, audit_pb2.Actor(id=USER_ID, display_name=NAME))
    before = await shown(keysvc, acme)

    await asyncio.to_thread(Keysvc(keys_url).answer, "erase-person", globex, USER_ID)

    assert await shown(keysvc, acme) == before


@pytest.mark.parametrize("name", ["operator", "Erased", " "])
def test_what_is_no_persons_name_is_refused(keys_url: str, name: str):
    code, output, complaint = Keysvc(keys_url).run("erase-person", USER_ID, name)
    assert (code, output) == (1, "")
    assert complaint == f"keysvc: PERSON: is nobody's name: {name!r}\n"
