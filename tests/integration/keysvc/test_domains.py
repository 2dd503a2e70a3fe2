"""Proofs of e-mail domains: claims, checks, loss, grace periods and overrides."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import grpc
import pytest
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.keys.v1 import domains_pb2 as pb

from tests.support.keysvc.replicas import MovableClock, Replica, refused
from tests.support.keysvc.sso_calls import (
    ANN,
    activate,
    create_active,
    find,
    get,
    record_test,
    update,
    verify,
)
from tests.support.waiting import eventually

FOUND = pb.RecordDomainCheckRequest.RESULT_FOUND
NOT_FOUND = pb.RecordDomainCheckRequest.RESULT_NOT_FOUND
UNAVAILABLE = pb.RecordDomainCheckRequest.RESULT_UNAVAILABLE
NOBODY = audit_pb2.Actor()


async def create_claim(keysvc: Replica, name: str = "Acme") -> str:
    """An organization with active single sign-on, which has claimed acme.test."""
    organization_id = await keysvc.create(name)
    connection = await update(keysvc, organization_id)
    await record_test(keysvc, organization_id, connection.etag)
    await activate(keysvc, organization_id)
    return organization_id


async def domain_of(keysvc: Replica, organization_id: str) -> pb.Domain:
    (domain,) = (await get(keysvc, organization_id)).domain_proofs
    return domain


async def lease(keysvc: Replica, limit: int = 0) -> list[pb.Domain]:
    request = pb.LeaseDomainChecksRequest(limit=limit)
    return list((await keysvc.domains.LeaseDomainChecks(request)).domains)


async def record(
    keysvc: Replica,
    domain: pb.Domain,
    result: "pb.RecordDomainCheckRequest.Result",
    actor: audit_pb2.Actor = NOBODY,
) -> pb.Domain:
    request = pb.RecordDomainCheckRequest(
        organization_id=domain.organization_id,
        domain=domain.name,
        record_value=domain.record_value,
        result=result,
        actor=actor,
    )
    return (await keysvc.domains.RecordDomainCheck(request)).domain


async def domain_events(keysvc: Replica, organization_id: str) -> list[tuple[str, str, str]]:
    """The events about domains, oldest first: action, domain and actor."""
    names = audit_pb2.AuditEvent.Action
    return [
        (names.Name(event.action).removeprefix("ACTION_DOMAIN_"), event.domain, event.actor.id)
        for event in reversed(await keysvc.audit_events(organization_id))
        if event.domain
    ]


@pytest.fixture
async def database(keys_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(keys_url)
    try:
        yield connection
    finally:
        await connection.close()


async def begin_grace(
    database: asyncpg.Connection, clock: MovableClock, organization_id: str
) -> None:
    """Give the organization's domains the grace period that the migration gives."""
    await database.execute(
        "UPDATE sso_domains SET grace_until = $2 WHERE organization_id = $1",
        *(UUID(organization_id), clock() + timedelta(days=30)),
    )


async def test_claimed_domain_routes_nobody_until_its_record_is_found(keysvc: Replica):
    acme = await create_claim(keysvc)
    claimed = await domain_of(keysvc, acme)
    assert claimed.state == pb.Domain.STATE_PENDING
    assert claimed.record_name == "_cloudacademy-challenge.acme.test"
    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email="ann@acme.test")

    (leased,) = await lease(keysvc)
    assert leased == claimed
    await record(keysvc, leased, NOT_FOUND)
    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email="ann@acme.test")

    proven = await record(keysvc, leased, FOUND)
    assert proven.state == pb.Domain.STATE_PROVEN
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme
    assert await domain_events(keysvc, acme) == [("PROVEN", "acme.test", "domain-check")]


async def test_each_organization_has_its_own_record_for_a_domain(keysvc: Replica):
    acme, evil = await create_claim(keysvc), await create_claim(keysvc, "Evil")
    own, theirs = await domain_of(keysvc, acme), await domain_of(keysvc, evil)
    assert own.record_name == theirs.record_name
    assert own.record_value != theirs.record_value

    # Evil reports the check of a value that is not its own.
    theirs.record_value = own.record_value
    await record(keysvc, theirs, FOUND)
    assert (await domain_of(keysvc, evil)).state == pb.Domain.STATE_PENDING


async def test_domain_that_is_proven_cannot_be_proven_by_another(keysvc: Replica):
    acme, evil = await create_claim(keysvc), await create_claim(keysvc, "Evil")
    await record(keysvc, await domain_of(keysvc, acme), FOUND)

    with refused("SSO_DOMAIN_TAKEN"):
        await record(keysvc, await domain_of(keysvc, evil), FOUND)

    assert (await domain_of(keysvc, evil)).HasField("last_check_time")
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme


async def test_claim_of_another_organization_blocks_no_proof(keysvc: Replica):
    await create_claim(keysvc, "Evil")
    acme = await create_claim(keysvc)
    await record(keysvc, await domain_of(keysvc, acme), FOUND)
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme


async def test_one_of_concurrent_proofs_succeeds(keysvc: Replica):
    domains = [await domain_of(keysvc, await create_claim(keysvc)) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(record(keysvc, domain, FOUND) for domain in domains), return_exceptions=True
    )
    assert sum(isinstance(outcome, pb.Domain) for outcome in outcomes) == 1


async def test_new_claim_is_checked_every_5_minutes_for_an_hour_then_daily(
    keysvc: Replica, clock: MovableClock
):
    acme = await create_claim(keysvc)
    checks = 0
    for _ in range(48 * 60):
        for leased in await lease(keysvc):
            await record(keysvc, leased, NOT_FOUND)
            checks += 1
        clock.advance(minutes=1)
    assert checks == 12 + 2

    # An administrator's check starts another hour.
    await record(keysvc, await domain_of(keysvc, acme), NOT_FOUND, ANN)
    clock.advance(minutes=5)
    assert len(await lease(keysvc)) == 1


async def test_leased_check_is_due_again_only_after_the_lease(keysvc: Replica, clock: MovableClock):
    await create_claim(keysvc)
    assert len(await lease(keysvc)) == 1
    assert await lease(keysvc) == []
    clock.advance(minutes=2)
    assert len(await lease(keysvc)) == 1


async def test_concurrent_leases_get_different_domains(keysvc: Replica):
    acme = await keysvc.create()
    names = [f"{number}.test" for number in range(5)]
    await update(keysvc, acme, domains=names)
    leases = await asyncio.gather(*(lease(keysvc, 2) for _ in range(4)))
    assert sorted(each.name for leased in leases for each in leased) == names


async def test_proof_is_lost_after_7_days_of_failed_checks(keysvc: Replica, clock: MovableClock):
    acme = await create_claim(keysvc)
    await record(keysvc, await domain_of(keysvc, acme), FOUND)

    for day in range(7):
        checked = await record(keysvc, await domain_of(keysvc, acme), NOT_FOUND)
        assert (day, checked.state) == (day, pb.Domain.STATE_PROVEN)
        assert checked.HasField("loss_time")
        clock.advance(days=1)
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme
    lost = await record(keysvc, await domain_of(keysvc, acme), NOT_FOUND)

    assert lost.state == pb.Domain.STATE_LOST
    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email="ann@acme.test")
    again = await record(keysvc, lost, FOUND)
    assert again.state == pb.Domain.STATE_PROVEN
    assert [action for action, _, _ in await domain_events(keysvc, acme)] == [
        "PROVEN", "PROOF_MISSING", "LOST", "PROVEN",
    ]  # fmt: skip


async def test_found_record_ends_a_series_of_failed_checks(keysvc: Replica, clock: MovableClock):
    acme = await create_claim(keysvc)
    domain = await record(keysvc, await domain_of(keysvc, acme), FOUND)
    for _ in range(3):
        for result in [NOT_FOUND] * 6 + [FOUND]:
            clock.advance(days=1)
            domain = await record(keysvc, domain, result)
    assert (domain.state, domain.HasField("loss_time")) == (pb.Domain.STATE_PROVEN, False)


async def test_outage_of_the_dns_or_many_checks_of_a_day_lose_no_proof(
    keysvc: Replica, clock: MovableClock
):
    acme = await create_claim(keysvc)
    domain = await record(keysvc, await domain_of(keysvc, acme), FOUND)
    for _ in range(30):
        clock.advance(days=1)
        domain = await record(keysvc, domain, UNAVAILABLE)
    for _ in range(30):
        domain = await record(keysvc, domain, NOT_FOUND, ANN)
    assert domain.state == pb.Domain.STATE_PROVEN


async def test_domain_in_grace_works_for_30_days(
    keysvc: Replica, clock: MovableClock, database: asyncpg.Connection
):
    acme = await create_claim(keysvc)
    await begin_grace(database, clock, acme)
    await record(keysvc, await domain_of(keysvc, acme), NOT_FOUND)

    clock.advance(days=30, seconds=-1)
    assert (await domain_of(keysvc, acme)).state == pb.Domain.STATE_GRACE
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme
    clock.advance(seconds=1)
    assert (await domain_of(keysvc, acme)).state == pb.Domain.STATE_LOST
    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email="ann@acme.test")


async def test_proof_by_the_owner_ends_the_grace_of_an_attacker(
    keysvc: Replica, clock: MovableClock, database: asyncpg.Connection
):
    evil = await create_claim(keysvc, "Evil")
    await begin_grace(database, clock, evil)
    acme = await create_claim(keysvc)

    await record(keysvc, await domain_of(keysvc, acme), FOUND)

    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme
    assert (await domain_of(keysvc, evil)).state == pb.Domain.STATE_LOST
    assert await domain_events(keysvc, evil) == [("LOST", "acme.test", "domain-check")]


async def test_proofs_at_the_same_time_end_each_others_grace_without_deadlock(
    keysvc: Replica, clock: MovableClock, database: asyncpg.Connection
):
    acme, evil = await create_claim(keysvc), await create_claim(keysvc, "Evil")
    claims = [await domain_of(keysvc, each) for each in (acme, evil)]
    for each in (acme, evil):
        await begin_grace(database, clock, each)
    async with database.transaction():
        # Both wait for the lock of the domain, and then for nothing that the other one has.
        await database.execute("SELECT pg_advisory_xact_lock(hashtextextended('acme.test', 0))")
        checks = [asyncio.ensure_future(record(keysvc, each, FOUND)) for each in claims]
        await eventually(lambda: _both_wait_for_locks(database))

    results = await asyncio.gather(*checks, return_exceptions=True)

    (proven,) = [each for each in results if isinstance(each, pb.Domain)]
    assert proven.state == pb.Domain.STATE_PROVEN
    (refusal,) = [each for each in results if isinstance(each, grpc.aio.AioRpcError)]
    with refused("SSO_DOMAIN_TAKEN"):
        raise refusal


async def _both_wait_for_locks(database: asyncpg.Connection) -> bool:
    waiting: int = await database.fetchval(
        """
        SELECT count(*)
          FROM pg_locks
          JOIN pg_database ON pg_database.oid = pg_locks.database
         WHERE NOT granted AND datname = current_database()
        """
    )
    return waiting == 2


@pytest.mark.parametrize(
    "domain", ["gmail.com", "outlook.com", "hotmail.fr", "yahoo.co.uk", "gmx.at", "mail.qq.com"]
)
async def test_public_mail_domain_is_refused_in_every_way(
    keysvc: Replica, clock: MovableClock, database: asyncpg.Connection, domain: str
):
    evil = await create_active(keysvc, await keysvc.create("Evil"))
    with refused("INVALID_FIELD") as refusal:
        await update(keysvc, evil.organization_id, domains=[domain])
    assert "public mail provider" in refusal().detail

    # One that was accepted before public mail domains were refused has no grace, and no proof.
    await database.execute(
        "INSERT INTO sso_domains (organization_id, domain, grace_until) VALUES ($1, $2, $3)",
        *(UUID(evil.organization_id), domain, clock() + timedelta(days=30)),
    )
    old = next(
        each
        for each in (await get(keysvc, evil.organization_id)).domain_proofs
        if each.name == domain
    )
    assert old.public_mail
    assert (await record(keysvc, old, FOUND)).state == pb.Domain.STATE_PENDING
    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email=f"ann@{domain}")
    with refused("INVALID_FIELD"):
        await verify(keysvc, evil.organization_id, domain)


async def test_override_proves_a_domain_that_is_then_not_checked(
    keysvc: Replica, clock: MovableClock
):
    acme = await create_claim(keysvc)
    await verify(keysvc, acme, "acme.test")

    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme
    clock.advance(days=30)
    assert await lease(keysvc) == []
    domain = await domain_of(keysvc, acme)
    assert (await record(keysvc, domain, NOT_FOUND, ANN)).state == pb.Domain.STATE_PROVEN
    (event,) = [each for each in await keysvc.audit_events(acme) if each.domain]
    assert (event.action, event.domain, event.reason, event.actor.id) == (
        audit_pb2.AuditEvent.ACTION_DOMAIN_VERIFIED, "acme.test", "a test", ANN.id,
    )  # fmt: skip


async def test_override_needs_a_claim_and_a_reason(keysvc: Replica):
    acme = await create_claim(keysvc)
    for domain, reason in (("other.test", "x"), ("acme.test", " "), ("acme.test", "x" * 201)):
        request = pb.VerifyDomainRequest(
            organization_id=acme, domain=domain, reason=reason, actor=ANN
        )
        with refused("INVALID_FIELD"):
            await keysvc.domains.VerifyDomain(request)
    assert (await domain_of(keysvc, acme)).state == pb.Domain.STATE_PENDING


async def test_domain_that_is_removed_and_added_again_needs_a_new_record(keysvc: Replica):
    acme = await create_claim(keysvc)
    before = await record(keysvc, await domain_of(keysvc, acme), FOUND)
    await update(keysvc, acme, domains=[])
    await update(keysvc, acme)

    after = await domain_of(keysvc, acme)
    assert after.state == pb.Domain.STATE_PENDING
    assert after.record_value != before.record_value


async def test_other_changes_of_the_connection_keep_proofs(keysvc: Replica):
    acme = await create_claim(keysvc)
    proven = await record(keysvc, await domain_of(keysvc, acme), FOUND)
    changed = await update(keysvc, acme, create_missing_users=True, domains=["acme.test", "b.test"])
    assert changed.domain_proofs[0] == proven
