"""Authentication by token, and the detail text of every refusal."""

from datetime import UTC, datetime

import grpc
from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.rpc.status import RpcStatus
from chassis.rpc.timestamps import to_timestamp
from keysvc.domain import key_token
from keysvc.domain.key_token import Token
from keysvc.domain.organizations import Region
from tests.support.keysvc.replicas import MovableClock, Replica, refused

PAGE = "Settings & Integrations → Integrations"
PASTED = "as Secret Token in Entra, or as bearer token in another identity provider"


def unauthenticated(reason: str, detail: str, **metadata: str) -> RpcStatus:
    return RpcStatus(grpc.StatusCode.UNAUTHENTICATED, reason, detail, metadata)


async def test_authenticated_key_identifies_its_organization(keysvc: Replica):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)

    response = await keysvc.authenticate(generated.token)

    assert response == pb.AuthenticateResponse(organization_id=acme, key_id=generated.key.id)


async def test_old_key_expires_eight_hours_after_a_new_one(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    old = await keysvc.generate(acme)
    new = await keysvc.generate(acme)

    clock.advance(hours=8, seconds=-1)
    assert await keysvc.authenticate(old.token) == pb.AuthenticateResponse(
        organization_id=acme,
        key_id=old.key.id,
        expire_time=to_timestamp(datetime(2026, 3, 1, 20, 0, 0, 123456, tzinfo=UTC)),
    )

    clock.advance(seconds=1)
    with refused("KEY_EXPIRED") as refusal:
        await keysvc.authenticate(old.token)
    assert refusal() == unauthenticated(
        "KEY_EXPIRED",
        "This API key expired on 2026-03-01 at 20:00 UTC, 8 hours after a newer key was generated. "
        f"Paste the newer key {PASTED}. If you do not have it, generate another one under {PAGE}.",
        organization_id=acme,
        key_id=old.key.id,
        expire_time="2026-03-01T20:00:00.123456Z",
    )
    assert (await keysvc.authenticate(new.token)).key_id == new.key.id


async def test_revoked_key_is_refused_immediately(keysvc: Replica, clock: MovableClock):
    generated = await keysvc.generate(await keysvc.create())

    key = await keysvc.revoke(generated.key)

    expected = pb.Key(revoke_time=to_timestamp(clock()), revoked_by="bob", revoked_by_name="bob")
    expected.MergeFrom(generated.key)
    assert key == expected
    with refused("KEY_REVOKED") as refusal:
        await keysvc.authenticate(generated.token)
    assert refusal() == unauthenticated(
        "KEY_REVOKED",
        f"This API key was revoked on 2026-03-01 at 12:00 UTC. Generate a new key under {PAGE} and "
        f"paste it {PASTED}.",
        organization_id=key.organization_id,
        key_id=key.id,
        revoke_time="2026-03-01T12:00:00.123456Z",
    )


async def test_wrong_secret_and_unknown_key_get_the_same_refusal(keysvc: Replica):
    generated = key_token.parse((await keysvc.generate(await keysvc.create())).token)
    wrong = Token(generated.region, generated.key_id, bytes(32))
    unknown = key_token.generate(Region.US, bytes)
    refusals = []

    for token in (wrong, unknown):
        with refused("KEY_UNKNOWN") as refusal:
            await keysvc.authenticate(token.text)
        refusals.append(refusal())

    expected = unauthenticated(
        "KEY_UNKNOWN",
        f"This API key does not exist. Generate a new key under {PAGE} and paste it {PASTED}.",
    )
    assert refusals == [expected, expected]


async def test_key_is_refused_while_the_integration_is_inactive(keysvc: Replica):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)

    await keysvc.deactivate(acme)
    with refused("INTEGRATION_INACTIVE") as refusal:
        await keysvc.authenticate(generated.token)
    assert refusal() == unauthenticated(
        "INTEGRATION_INACTIVE",
        f"The integration is switched off. Activate it under {PAGE}. This API key then works "
        "again.",
        organization_id=acme,
        key_id=generated.key.id,
    )

    await keysvc.activate(acme)
    assert (await keysvc.authenticate(generated.token)).organization_id == acme
