"""Keys are generated, listed and revoked."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.rpc.status import from_rpc_error
from chassis.rpc.timestamps import to_timestamp
from keysvc.domain import key_token
from tests.support.keysvc.replicas import MovableClock, Replica, refused, running_replica

UNKNOWN_ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


def expiry_times(keys: Sequence[pb.Key]) -> list[datetime | None]:
    """The expiry time of each key, newest key first; None if it does not expire."""
    return [
        key.expire_time.ToDatetime(UTC) if key.HasField("expire_time") else None for key in keys
    ]


async def test_new_key_is_returned_with_its_token_and_listed_without_it(
    keysvc: Replica, clock: MovableClock
):
    acme = await keysvc.create()

    generated = await keysvc.generate(acme, created_by="ann")

    key = pb.Key(
        id=generated.key.id,
        organization_id=acme,
        create_time=to_timestamp(clock()),
        created_by="ann",
        created_by_name="ann",
    )
    assert generated.key == key
    assert str(key_token.parse(generated.token).key_id) == key.id
    assert await keysvc.list(acme) == [key]


async def test_third_key_does_not_extend_the_expiry_of_the_first(
    keysvc: Replica, clock: MovableClock
):
    acme = await keysvc.create()
    start = clock()
    for hours in (0, 1, 5):
        clock.advance(hours=hours)
        await keysvc.generate(acme)

    assert expiry_times(await keysvc.list(acme)) == [
        None,
        start.replace(hour=2, day=2),
        start.replace(hour=21),
    ]


async def test_new_key_changes_no_revoked_key_and_no_other_organization(
    keysvc: Replica, clock: MovableClock
):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    foreign = await keysvc.generate(initech)
    revoked = await keysvc.revoke((await keysvc.generate(acme)).key)
    clock.advance(seconds=1)

    generated = await keysvc.generate(acme)

    assert await keysvc.list(acme) == [generated.key, revoked]
    assert await keysvc.list(initech) == [foreign.key]


async def test_only_one_of_concurrently_generated_keys_does_not_expire(
    keysvc: Replica, keys_url: str, clock: MovableClock
):
    acme = await keysvc.create()
    async with running_replica(keys_url, clock) as other:
        generated = await asyncio.gather(
            *(replica.generate(acme) for replica in (keysvc, other) for _ in range(8))
        )

    listed = expiry_times(await keysvc.list(acme))
    assert {key.key.id for key in generated} == {key.id for key in await keysvc.list(acme)}
    assert sorted(listed, key=lambda end: (end is None, end)) == [
        *[clock().replace(hour=20)] * 15,
        None,
    ]


async def test_revoking_a_key_again_changes_nothing(keysvc: Replica, clock: MovableClock):
    generated = await keysvc.generate(await keysvc.create())
    first = await keysvc.revoke(generated.key)
    clock.advance(minutes=1)

    assert await keysvc.revoke(generated.key) == first


async def test_a_key_of_another_organization_cannot_be_revoked(keysvc: Replica):
    foreign = await keysvc.generate(await keysvc.create("Initech"))
    acme = await keysvc.create("Acme")

    with refused("KEY_NOT_FOUND"):
        await keysvc.revoke(pb.Key(organization_id=acme, id=foreign.key.id))

    assert await keysvc.list(foreign.key.organization_id) == [foreign.key]


async def test_no_key_is_generated_for_an_inactive_integration(keysvc: Replica):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)
    await keysvc.deactivate(acme)

    with refused("INTEGRATION_NOT_ACTIVE"):
        await keysvc.generate(acme)

    assert await keysvc.list(acme) == [generated.key]


async def test_keys_are_listed_newest_first_in_pages(keysvc: Replica, clock: MovableClock):
    acme, listed, request = await keysvc.create(), [], None
    generated = []
    for _ in range(5):
        clock.advance(seconds=1)
        generated.append((await keysvc.generate(acme)).key.id)

    sizes = []
    while request is None or request.page_token:
        request = request or pb.ListKeysRequest(organization_id=acme, page_size=2)
        page = await keysvc.keys.ListKeys(request)
        sizes.append(len(page.keys))
        listed += [key.id for key in page.keys]
        request.page_token = page.next_page_token

    assert sizes == [2, 2, 1]
    assert listed == generated[::-1]


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
        (
            "GenerateKey",
            pb.GenerateKeyRequest(organization_id=UNKNOWN_ID),
            "ORGANIZATION_NOT_FOUND",
        ),
        ("ListKeys", pb.ListKeysRequest(organization_id=UNKNOWN_ID), "ORGANIZATION_NOT_FOUND"),
        (
            "RevokeKey",
            pb.RevokeKeyRequest(organization_id=UNKNOWN_ID, key_id=UNKNOWN_ID),
            "KEY_NOT_FOUND",
        ),
        ("GenerateKey", pb.GenerateKeyRequest(), "INVALID_FIELD"),
        (
            "GenerateKey",
            pb.GenerateKeyRequest(organization_id=UNKNOWN_ID, created_by="x" * 201),
            "INVALID_FIELD",
        ),
        ("ListKeys", pb.ListKeysRequest(organization_id="1"), "INVALID_FIELD"),
        ("ListKeys", pb.ListKeysRequest(organization_id=UNKNOWN_ID, page_size=-1), "INVALID_FIELD"),
        (
            "ListKeys",
            pb.ListKeysRequest(organization_id=UNKNOWN_ID, page_token="x"),
            "INVALID_PAGE_TOKEN",
        ),
        ("RevokeKey", pb.RevokeKeyRequest(organization_id=UNKNOWN_ID, key_id="1"), "INVALID_FIELD"),
        (
            "RevokeKey",
            pb.RevokeKeyRequest(organization_id=UNKNOWN_ID, key_id=UNKNOWN_ID, revoked_by="\n"),
            "INVALID_FIELD",
        ),
        ("Authenticate", pb.AuthenticateRequest(client_address="here"), "INVALID_FIELD"),
        ("Authenticate", pb.AuthenticateRequest(token=""), "KEY_MALFORMED"),
        ("Authenticate", pb.AuthenticateRequest(token="cak_us_" * 100_000), "KEY_MALFORMED"),
        ("Authenticate", pb.AuthenticateRequest(token="é" * 78), "KEY_MALFORMED"),
    ],
)
async def test_invalid_request_is_refused_with_its_reason(
    keysvc: Replica, method: str, request_: object, reason: str
):
    with refused(reason):
        await getattr(keysvc.keys, method)(request_)


async def test_one_of_requests_with_the_same_newest_key_id_creates_a_key(
    keysvc: Replica, keys_url: str, clock: MovableClock
):
    acme = await keysvc.create()
    async with running_replica(keys_url, clock) as other:
        for expected in ("none", None):
            newest = expected or (await keysvc.list(acme))[0].id
            request = pb.GenerateKeyRequest(
                organization_id=acme, created_by="ann", newest_key_id=newest
            )
            outcomes = await asyncio.gather(
                *(replica.keys.GenerateKey(request) for replica in (keysvc, other) * 3),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, pb.GenerateKeyResponse) for outcome in outcomes) == 1
            reasons = {
                from_rpc_error(outcome).reason
                for outcome in outcomes
                if isinstance(outcome, Exception)
            }
            assert reasons == {"NEWER_KEY_EXISTS"}
    assert len(await keysvc.list(acme)) == 2


async def test_last_created_key_is_the_newest_despite_clock_skew(keysvc: Replica, keys_url: str):
    slow_clock, acme, generated = MovableClock(), await keysvc.create(), []
    slow_clock.advance(seconds=-2)
    async with running_replica(keys_url, slow_clock) as other:
        for replica in (keysvc, other, other, keysvc) * 3:
            newest = generated[-1] if generated else "none"
            generated.append((await replica.generate(acme, newest_key_id=newest)).key.id)

    assert [key.id for key in await keysvc.list(acme)] == generated[::-1]
