"""Recording of key uses, and the secrecy of keys."""

from datetime import UTC, datetime

import asyncpg
from cloudacademy.keys.v1 import keys_pb2 as pb

from keysvc.domain import key_token
from tests.support.keysvc.replicas import MovableClock, Replica, refused, running_replica, until
from tests.support.waiting import eventually


def last_use(key: pb.Key) -> tuple[datetime, str]:
    return key.last_used_time.ToDatetime(UTC), key.last_used_address


async def test_use_of_a_key_is_recorded_in_the_background(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)
    await keysvc.authenticate(generated.token, "192.0.2.1")

    async def is_written() -> bool:
        return (await keysvc.list(acme))[0].HasField("last_used_time")

    await eventually(is_written)

    assert last_use((await keysvc.list(acme))[0]) == (clock(), "192.0.2.1")


async def test_shutdown_records_a_use_if_a_minute_passed_since_the_last(
    keys_url: str, clock: MovableClock
):
    start = clock()
    async with running_replica(keys_url, clock, follows=False) as replica:
        acme = await replica.create()
        generated = await replica.generate(acme)

    uses = []
    for seconds, address in ((0, "192.0.2.1"), (59, "192.0.2.2"), (1, "192.0.2.3")):
        clock.advance(seconds=seconds)
        async with running_replica(keys_url, clock, follows=False) as replica:
            await replica.authenticate(generated.token, address)
        async with running_replica(keys_url, clock, follows=False) as replica:
            uses.append(last_use((await replica.list(acme))[0]))

    assert uses == [
        (start, "192.0.2.1"),
        (start, "192.0.2.1"),
        (start.replace(minute=1), "192.0.2.3"),
    ]


async def test_first_use_of_an_old_key_after_a_new_one_is_written(
    keys_url: str, clock: MovableClock
):
    start = clock()
    async with running_replica(keys_url, clock, follows=False) as replica:
        acme = await replica.create()
        old = await replica.generate(acme)
        await replica.authenticate(old.token, "192.0.2.1")
    clock.advance(seconds=10)
    async with running_replica(keys_url, clock, follows=False) as replica:
        await replica.generate(acme)
        clock.advance(seconds=10)
        await replica.authenticate(old.token, "192.0.2.2")

    async with running_replica(keys_url, clock, follows=False) as replica:
        new_key, old_key = await replica.list(acme)
    assert last_use(old_key) == (start.replace(second=20), "192.0.2.2")
    assert old_key.last_used_time.ToDatetime(UTC) > new_key.create_time.ToDatetime(UTC)


async def test_database_never_sees_a_secret(keysvc: Replica, keys_url: str):
    generated = await keysvc.generate(await keysvc.create())
    await keysvc.authenticate(generated.token)
    secret = key_token.parse(generated.token).secret

    database = await asyncpg.connect(keys_url)
    rows = await database.fetch("SELECT api_key::text FROM api_key")
    activity = await database.fetch("SELECT query FROM pg_stat_activity")
    await database.close()

    everything = str([*rows, *activity])
    assert generated.key.id in everything
    assert generated.token[7:] not in everything
    assert generated.token[29:72] not in everything
    assert secret.hex() not in everything


async def test_log_contains_no_token(keysvc: Replica):
    generated = await keysvc.generate(await keysvc.create())
    await keysvc.authenticate(generated.token)
    with refused("KEY_MALFORMED"):
        await keysvc.authenticate(generated.token[:-1])
    await until(lambda: keysvc.logged("call") == 5)

    outcomes = [entry["outcome"] for entry in keysvc.log if entry["event"] == "call"]
    assert outcomes == ["OK", "OK", "OK", "OK", "KEY_MALFORMED"]
    assert generated.token[29:72] not in str(keysvc.log)
