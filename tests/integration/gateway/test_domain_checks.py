"""Domain checks of a gateway, with a real keysvc and a real DNS server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from cloudacademy.keys.v1.domains_pb2 import Domain, RecordDomainCheckRequest

from gateway.backend.errors import RefusedError
from gateway.domain_proofs.checker import DomainChecker
from tests.support.keysvc.replicas import MovableClock, Replica, running_replica
from tests.support.keysvc.sso_calls import create_active, find, get, update
from tests.support.outbound.outside import Outside, outside
from tests.support.waiting import eventually

RECORD = "_cloudacademy-challenge.acme.test"
FOUND = RecordDomainCheckRequest.RESULT_FOUND
NOT_FOUND = RecordDomainCheckRequest.RESULT_NOT_FOUND
UNAVAILABLE = RecordDomainCheckRequest.RESULT_UNAVAILABLE


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def keysvc(keys_url: str, clock: MovableClock) -> AsyncIterator[Replica]:
    async with running_replica(keys_url, clock) as replica:
        yield replica


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Outside]:
    async with outside(tmp_path) as running:
        yield running


@pytest.fixture
async def checker(keysvc: Replica, hosts: Outside) -> AsyncIterator[DomainChecker]:
    async with hosts.clients() as clients:
        yield DomainChecker(
            keysvc.domains, clients.txt_lookups, structlog.get_logger(), poll_seconds=0.01
        )


@asynccontextmanager
async def running(checker: DomainChecker) -> AsyncIterator[None]:
    task = asyncio.create_task(checker.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def claim(keysvc: Replica, name: str = "Acme") -> Domain:
    """The domain acme.test of a new organization."""
    organization_id = await keysvc.create(name)
    await update(keysvc, organization_id)
    return await domain_of(keysvc, organization_id)


async def domain_of(keysvc: Replica, organization_id: str) -> Domain:
    (domain,) = (await get(keysvc, organization_id)).domain_proofs
    return domain


async def test_due_domain_is_proven_by_its_record(
    keysvc: Replica, hosts: Outside, checker: DomainChecker
):
    domain = await claim(keysvc)
    hosts.names.records[RECORD, "TXT"] = ['"v=spf1 -all"', f'"{domain.record_value}"']

    async def is_proven() -> bool:
        return (await domain_of(keysvc, domain.organization_id)).state == Domain.STATE_PROVEN

    async with running(checker):
        await eventually(is_proven)


async def test_proof_is_lost_and_found_again_by_daily_checks(
    keysvc: Replica, hosts: Outside, checker: DomainChecker, clock: MovableClock
):
    domain = await claim(keysvc)
    record = {(RECORD, "TXT"): [f'"{domain.record_value}"']}

    async def is_checked() -> bool:
        current = await domain_of(keysvc, domain.organization_id)
        return current.last_check_time.ToDatetime() == clock().replace(tzinfo=None)

    states = []
    async with running(checker):
        for day in range(10):
            hosts.names.records = record if day in (0, 9) else {}
            await eventually(is_checked)
            states.append((await domain_of(keysvc, domain.organization_id)).state)
            clock.advance(days=1, seconds=1)
    proven, lost = Domain.STATE_PROVEN, Domain.STATE_LOST
    assert states == [proven] * 8 + [lost, proven]


@pytest.mark.parametrize(
    ("texts", "result"),
    [
        (["{value}"], FOUND),
        (['\\"{value}\\"'], FOUND),
        (["other", " {value} "], FOUND),
        (["{value}x"], NOT_FOUND),
        (["cloudacademy-domain-verification="], NOT_FOUND),
        (["{value} {value}"], NOT_FOUND),
        ([], NOT_FOUND),
    ],
)
async def test_check_compares_the_complete_record(
    keysvc: Replica, hosts: Outside, checker: DomainChecker, texts: list[str], result: int
):
    domain = await claim(keysvc)
    records = [f'"{text.format(value=domain.record_value)}"' for text in texts]
    hosts.names.records[RECORD, "TXT"] = records
    assert (await checker.check(domain, "r"))[0] == result


async def test_check_without_an_answer_of_a_name_server_has_no_result(
    keysvc: Replica, hosts: Outside, checker: DomainChecker
):
    domain = await claim(keysvc)
    hosts.names.failing.add(RECORD)
    result, after = await checker.check(domain, "r")
    assert (result, after.HasField("last_check_time")) == (UNAVAILABLE, False)


async def test_record_of_another_organization_proves_nothing(
    keysvc: Replica, hosts: Outside, checker: DomainChecker
):
    acme, evil = await claim(keysvc), await claim(keysvc, "Evil")
    hosts.names.records[RECORD, "TXT"] = [f'"{acme.record_value}"']
    assert (await checker.check(evil, "r"))[0] == NOT_FOUND
    assert (await checker.check(acme, "r"))[0] == FOUND


async def test_second_organization_with_a_record_is_refused(
    keysvc: Replica, hosts: Outside, checker: DomainChecker
):
    connection = await create_active(keysvc, await keysvc.create())
    other = await claim(keysvc, "Initech")
    hosts.names.records[RECORD, "TXT"] = [f'"{other.record_value}"']

    with pytest.raises(RefusedError) as caught:
        await checker.check(other, "r")

    assert caught.value.reason == "SSO_DOMAIN_TAKEN"
    found = await find(keysvc, email="ann@acme.test")
    assert found.organization_id == connection.organization_id
    queries = hosts.names.queries[RECORD, "TXT"]

    async def has_query() -> bool:
        return hosts.names.queries[RECORD, "TXT"] > queries

    async with running(checker):  # the background task does not fail by the refusal either
        await claim(keysvc, "Globex")
        await eventually(has_query)
