"""Key uses whose write fails with an unexpected error."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
import structlog
from structlog.testing import LogCapture

from chassis.concurrency import supervisor
from chassis.concurrency.supervisor import Supervisor
from chassis.database.pool import Database
from keysvc.background import key_uses
from keysvc.background.key_uses import MAX_ATTEMPTS, KeyUses
from keysvc.domain.keys import Key
from keysvc.store.keys import KeyStore
from tests.support.keysvc.replicas import MovableClock, Replica, running_replica, until
from tests.support.waiting import eventually

FAILING_ADDRESS = "192.0.2.66"
KEYS_BY_ADDRESS = "SELECT key_id FROM api_key WHERE last_used_address = $1"


@dataclass
class Writer:
    """The task that writes key uses, on a database whose trigger refuses one address."""

    uses: KeyUses
    db: asyncpg.Connection
    log: list[dict] = field(default_factory=list)
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    async def keys_used_from(self, address: str) -> list[UUID]:
        return [row["key_id"] for row in await self.db.fetch(KEYS_BY_ADDRESS, address)]

    async def wait_for(self, address: str) -> None:
        await eventually(lambda: self.keys_used_from(address))


@pytest.fixture
async def keys(keys_url: str, clock: MovableClock) -> list[Key]:
    """Three keys of three organizations."""
    found = []
    async with running_replica(keys_url, clock, follows=False) as replica:
        for name in ("Acme", "Globex", "Initech"):
            found.append(await generate_key(replica, name))
    return found


async def generate_key(replica: Replica, name: str) -> Key:
    key = (await replica.generate(await replica.create(name))).key
    return Key(
        UUID(key.organization_id), UUID(key.id), MovableClock()(), "ann", "", None, None, "", "",
        None, "",
    )  # fmt: skip


@pytest.fixture
async def writer(
    keys_url: str, keys: list[Key], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Writer]:
    monkeypatch.setattr(key_uses, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "FIRST_DELAY_SECONDS", 0.01)
    db = await asyncpg.connect(keys_url)
    await db.execute(
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.last_used_address = '{FAILING_ADDRESS}' THEN RAISE EXCEPTION 'poison'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON api_key FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )
    capture = LogCapture()
    log = structlog.wrap_logger(None, [capture])
    async with Database(keys_url, "test") as database, Supervisor(log) as tasks:
        writer = Writer(KeyUses(KeyStore(database), log), db, capture.entries)
        tasks.start(
            "key uses", lambda: writer.uses.write(writer.drained), drain_event=writer.drained
        )
        yield writer
    await db.close()


async def test_use_whose_write_always_fails_is_dropped_and_others_written(
    writer: Writer, keys: list[Key], clock: MovableClock
):
    first, second, third = keys
    writer.uses.add(first, clock(), FAILING_ADDRESS)
    writer.uses.add(second, clock(), "192.0.2.1")
    await writer.wait_for("192.0.2.1")
    await until(lambda: writer.uses.dropped == 1)
    writer.uses.add(third, clock(), "192.0.2.2")
    await writer.wait_for("192.0.2.2")

    failed = [entry for entry in writer.log if entry["event"] == "task failed"]
    (dropped,) = [entry for entry in writer.log if entry["event"] == "key use dropped"]
    assert len(failed) == MAX_ATTEMPTS
    assert dropped["key_id"] == str(first.key_id)
    assert FAILING_ADDRESS not in str(writer.log)


async def test_failed_use_is_written_when_its_cause_is_gone(
    writer: Writer, keys: list[Key], clock: MovableClock
):
    writer.uses.add(keys[0], clock(), FAILING_ADDRESS)
    await until(lambda: any(entry["event"] == "task failed" for entry in writer.log))
    await writer.db.execute("DROP TRIGGER refuse ON api_key")
    await writer.wait_for(FAILING_ADDRESS)
    assert writer.uses.dropped == 0


async def test_failing_uses_at_shutdown_are_retried_until_dropped(
    writer: Writer, keys: list[Key], clock: MovableClock
):
    writer.uses.add(keys[0], clock(), FAILING_ADDRESS)
    writer.uses.add(keys[1], clock(), "192.0.2.1")
    writer.drained.set()
    await writer.wait_for("192.0.2.1")
    await until(lambda: writer.uses.dropped == 1)
