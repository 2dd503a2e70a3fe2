"""What keys open, and since when they no longer do."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.status import RemoteRefusal
from keysvc import token as tokens
from keysvc.organizations import Region
from keysvc.token import Token
from tests.integration.keysvc.replicas import MovableClock, Replica, refused, running_replica, until

NOBODY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
PAGE = "Settings & Integrations → Integrations → Microsoft Entra ID"


def stamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def ends(keys: Sequence[pb.Key]) -> list[datetime | None]:
    """When the keys end, newest key first."""
    return [
        key.expire_time.ToDatetime(UTC) if key.HasField("expire_time") else None for key in keys
    ]


def last_use(key: pb.Key) -> tuple[datetime, str]:
    return key.last_used_time.ToDatetime(UTC), key.last_used_address


def unauthenticated(reason: str, detail: str, **metadata: str) -> RemoteRefusal:
    return RemoteRefusal(grpc.StatusCode.UNAUTHENTICATED, reason, detail, metadata)


async def test_a_key_speaks_for_its_organization(keysvc: Replica):
    acme = await keysvc.create()
    made = await keysvc.generate(acme)

    answer = await keysvc.authenticate(made.token)

    assert answer == pb.AuthenticateResponse(organization_id=acme, key_id=made.key.id)


async def test_a_new_key_is_told_with_its_token_and_listed_without(
    keysvc: Replica, clock: MovableClock
):
    acme = await keysvc.create()

    made = await keysvc.generate(acme, created_by="ann")

    key = pb.Key(id=made.key.id, organization_id=acme, create_time=stamp(clock()), created_by="ann")
    assert made.key == key
    assert str(tokens.parse(made.token).key_id) == key.id
    assert await keysvc.list(acme) == [key]


async def test_an_old_key_works_for_eight_hours_after_a_new_one_and_not_a_second_longer(
    keysvc: Replica, clock: MovableClock
):
    acme = await keysvc.create()
    old = await keysvc.generate(acme)
    new = await keysvc.generate(acme)

    clock.advance(hours=8, seconds=-1)
    assert await keysvc.authenticate(old.token) == pb.AuthenticateResponse(
        organization_id=acme,
        key_id=old.key.id,
        expire_time=stamp(datetime(2026, 3, 1, 20, 0, 0, 123456, tzinfo=UTC)),
    )

    clock.advance(seconds=1)
    with refused("KEY_EXPIRED") as refusal:
        await keysvc.authenticate(old.token)
    assert refusal() == unauthenticated(
        "KEY_EXPIRED",
        "This API key ended on 2026-03-01 at 20:00 UTC, because a newer key was generated 8 hours "
        "before. Paste the newer key as Secret Token in Entra; if you do not have it, generate "
        f"another one under {PAGE}.",
        expire_time="2026-03-01T20:00:00.123456Z",
    )
    assert (await keysvc.authenticate(new.token)).key_id == new.key.id


async def test_a_third_key_gives_the_first_no_more_time(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    start = clock()
    for hours in (0, 1, 5):
        clock.advance(hours=hours)
        await keysvc.generate(acme)

    assert ends(await keysvc.list(acme)) == [
        None,
        start.replace(hour=2, day=2),
        start.replace(hour=21),
    ]


async def test_a_key_touches_neither_revoked_keys_nor_those_of_others(
    keysvc: Replica, clock: MovableClock
):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    theirs = await keysvc.generate(initech)
    revoked = await keysvc.revoke((await keysvc.generate(acme)).key)
    clock.advance(seconds=1)

    made = await keysvc.generate(acme)

    assert await keysvc.list(acme) == [made.key, revoked]
    assert await keysvc.list(initech) == [theirs.key]


async def test_of_keys_generated_at_once_only_one_stays(
    keysvc: Replica, keys_url: str, clock: MovableClock
):
    acme = await keysvc.create()
    async with running_replica(keys_url, clock) as other:
        made = await asyncio.gather(
            *(replica.generate(acme) for replica in (keysvc, other) for _ in range(8))
        )

    listed = ends(await keysvc.list(acme))
    assert {key.key.id for key in made} == {key.id for key in await keysvc.list(acme)}
    assert sorted(listed, key=lambda end: (end is None, end)) == [
        *[clock().replace(hour=20)] * 15,
        None,
    ]


async def test_a_revoked_key_is_refused_at_once_and_for_good(keysvc: Replica, clock: MovableClock):
    made = await keysvc.generate(await keysvc.create())

    key = await keysvc.revoke(made.key)

    expected = pb.Key(revoke_time=stamp(clock()), revoked_by="bob")
    expected.MergeFrom(made.key)
    assert key == expected
    with refused("KEY_REVOKED") as refusal:
        await keysvc.authenticate(made.token)
    assert refusal() == unauthenticated(
        "KEY_REVOKED",
        f"This API key was revoked on 2026-03-01 at 12:00 UTC. Generate a new key under {PAGE} and "
        "paste it as Secret Token in Entra.",
        revoke_time="2026-03-01T12:00:00.123456Z",
    )


async def test_revoking_a_key_again_changes_nothing(keysvc: Replica, clock: MovableClock):
    made = await keysvc.generate(await keysvc.create())
    first = await keysvc.revoke(made.key)
    clock.advance(minutes=1)

    assert await keysvc.revoke(made.key) == first


async def test_a_key_of_another_organization_cannot_be_revoked(keysvc: Replica):
    theirs = await keysvc.generate(await keysvc.create("Initech"))
    acme = await keysvc.create("Acme")

    with refused("KEY_NOT_FOUND"):
        await keysvc.revoke(pb.Key(organization_id=acme, id=theirs.key.id))

    assert await keysvc.list(theirs.key.organization_id) == [theirs.key]


async def test_a_wrong_secret_and_an_unknown_key_are_refused_alike(keysvc: Replica):
    made = tokens.parse((await keysvc.generate(await keysvc.create())).token)
    wrong = Token(made.region, made.key_id, bytes(32))
    unknown = tokens.generate(Region.US, bytes)
    refusals = []

    for token in (wrong, unknown):
        with refused("KEY_UNKNOWN") as refusal:
            await keysvc.authenticate(token.text)
        refusals.append(refusal())

    expected = unauthenticated(
        "KEY_UNKNOWN",
        f"This API key is not known. Generate a new key under {PAGE} and paste it as Secret Token "
        "in Entra.",
    )
    assert refusals == [expected, expected]


async def test_an_inactive_integration_refuses_its_keys_until_it_is_active_again(keysvc: Replica):
    acme = await keysvc.create()
    made = await keysvc.generate(acme)

    await keysvc.deactivate(acme)
    with refused("INTEGRATION_INACTIVE") as refusal:
        await keysvc.authenticate(made.token)
    assert refusal() == unauthenticated(
        "INTEGRATION_INACTIVE",
        f"The integration is switched off. Activate it under {PAGE}; this API key then works "
        "again.",
    )

    await keysvc.activate(acme)
    assert (await keysvc.authenticate(made.token)).organization_id == acme


async def test_no_key_is_generated_for_an_inactive_integration(keysvc: Replica):
    acme = await keysvc.create()
    made = await keysvc.generate(acme)
    await keysvc.deactivate(acme)

    with refused("INTEGRATION_NOT_ACTIVE"):
        await keysvc.generate(acme)

    assert await keysvc.list(acme) == [made.key]


async def test_keys_are_listed_newest_first_page_by_page(keysvc: Replica, clock: MovableClock):
    acme, listed, request = await keysvc.create(), [], None
    made = []
    for _ in range(5):
        clock.advance(seconds=1)
        made.append((await keysvc.generate(acme)).key.id)

    sizes = []
    while request is None or request.page_token:
        request = request or pb.ListKeysRequest(organization_id=acme, page_size=2)
        page = await keysvc.keys.ListKeys(request)
        sizes.append(len(page.keys))
        listed += [key.id for key in page.keys]
        request.page_token = page.next_page_token

    assert sizes == [2, 2, 1]
    assert listed == made[::-1]


async def test_a_page_token_of_another_organization_is_refused(keysvc: Replica):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    await keysvc.generate(acme)
    await keysvc.generate(acme)
    page = await keysvc.keys.ListKeys(pb.ListKeysRequest(organization_id=acme, page_size=1))

    with refused("INVALID_PAGE_TOKEN"):
        await keysvc.keys.ListKeys(
            pb.ListKeysRequest(organization_id=initech, page_token=page.next_page_token)
        )


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GenerateKey", pb.GenerateKeyRequest(organization_id=NOBODY), "ORGANIZATION_NOT_FOUND"),
        ("ListKeys", pb.ListKeysRequest(organization_id=NOBODY), "ORGANIZATION_NOT_FOUND"),
        ("RevokeKey", pb.RevokeKeyRequest(organization_id=NOBODY, key_id=NOBODY), "KEY_NOT_FOUND"),
        ("GenerateKey", pb.GenerateKeyRequest(), "INVALID_FIELD"),
        (
            "GenerateKey",
            pb.GenerateKeyRequest(organization_id=NOBODY, created_by="x" * 201),
            "INVALID_FIELD",
        ),
        ("ListKeys", pb.ListKeysRequest(organization_id="1"), "INVALID_FIELD"),
        ("ListKeys", pb.ListKeysRequest(organization_id=NOBODY, page_size=-1), "INVALID_FIELD"),
        (
            "ListKeys",
            pb.ListKeysRequest(organization_id=NOBODY, page_token="x"),
            "INVALID_PAGE_TOKEN",
        ),
        ("RevokeKey", pb.RevokeKeyRequest(organization_id=NOBODY, key_id="1"), "INVALID_FIELD"),
        (
            "RevokeKey",
            pb.RevokeKeyRequest(organization_id=NOBODY, key_id=NOBODY, revoked_by="\n"),
            "INVALID_FIELD",
        ),
        ("Authenticate", pb.AuthenticateRequest(client_address="here"), "INVALID_FIELD"),
        ("Authenticate", pb.AuthenticateRequest(token=""), "KEY_MALFORMED"),
        ("Authenticate", pb.AuthenticateRequest(token="cak_us_" * 100_000), "KEY_MALFORMED"),
        ("Authenticate", pb.AuthenticateRequest(token="é" * 78), "KEY_MALFORMED"),
    ],
)
async def test_bad_requests_are_refused_with_their_reason(
    keysvc: Replica, method: str, request_: object, reason: str
):
    with refused(reason):
        await getattr(keysvc.keys, method)(request_)


async def test_a_use_is_written_behind_the_request(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    made = await keysvc.generate(acme)
    await keysvc.authenticate(made.token, "192.0.2.1")

    async with asyncio.timeout(5):
        while not (await keysvc.list(acme))[0].HasField("last_used_time"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert last_use((await keysvc.list(acme))[0]) == (clock(), "192.0.2.1")


async def test_a_use_is_written_once_a_minute_and_never_lost_at_the_end(
    keys_url: str, clock: MovableClock
):
    start = clock()
    async with running_replica(keys_url, clock, follows=False) as replica:
        acme = await replica.create()
        made = await replica.generate(acme)

    uses = []
    for seconds, address in ((0, "192.0.2.1"), (59, "192.0.2.2"), (1, "192.0.2.3")):
        clock.advance(seconds=seconds)
        async with running_replica(keys_url, clock, follows=False) as replica:
            await replica.authenticate(made.token, address)
        async with running_replica(keys_url, clock, follows=False) as replica:
            uses.append(last_use((await replica.list(acme))[0]))

    assert uses == [
        (start, "192.0.2.1"),
        (start, "192.0.2.1"),
        (start.replace(minute=1), "192.0.2.3"),
    ]


async def test_the_database_never_sees_a_secret(keysvc: Replica, keys_url: str):
    made = await keysvc.generate(await keysvc.create())
    await keysvc.authenticate(made.token)
    secret = tokens.parse(made.token).secret

    database = await asyncpg.connect(keys_url)
    rows = await database.fetch("SELECT api_key::text FROM api_key")
    activity = await database.fetch("SELECT query FROM pg_stat_activity")
    await database.close()

    everything = str([*rows, *activity])
    assert made.key.id in everything
    assert made.token[7:] not in everything
    assert made.token[29:72] not in everything
    assert secret.hex() not in everything


async def test_a_token_is_in_no_line_of_the_log(keysvc: Replica):
    made = await keysvc.generate(await keysvc.create())
    await keysvc.authenticate(made.token)
    with refused("KEY_MALFORMED"):
        await keysvc.authenticate(made.token[:-1])
    await until(lambda: keysvc.logged("call") == 5)

    outcomes = [entry["outcome"] for entry in keysvc.log if entry["event"] == "call"]
    assert outcomes == ["OK", "OK", "OK", "OK", "KEY_MALFORMED"]
    assert made.token[29:72] not in str(keysvc.log)
