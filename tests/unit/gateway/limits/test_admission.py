"""Admission control: rejections and rate limit headers."""

import asyncio

import pytest
import structlog

from chassis.concurrency.fair_semaphore import FairSemaphore
from gateway.limits.admission import BYTES_PER_REQUEST, CPU_SECONDS_PER_REQUEST, AdmissionControl
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectionStats, no_slot


def admission_control(rate: Rate, slots: int = 4) -> AdmissionControl:
    limiter = RateLimiter(rate, lambda: 1_000.0)
    return AdmissionControl(
        limiter, FairSemaphore(slots, no_slot, 30.0), RejectionStats(structlog.get_logger())
    )


def remaining(admission: AdmissionControl) -> str:
    return admission.headers("acme")["RateLimit"]


async def test_rate_limit_headers_have_the_policy_and_the_remainder():
    admission = admission_control(Rate(per_second=10, burst=50))
    before = remaining(admission)
    for _ in range(3):
        async with admission.slot("acme"):
            pass

    assert admission.headers("acme")["RateLimit-Policy"] == '"organization";q=50;w=5'
    assert (before, remaining(admission)) == ('"organization";r=50;t=5', '"organization";r=47;t=5')


async def test_request_over_the_rate_gets_429_with_retry_after():
    admission = admission_control(Rate(per_second=0.2, burst=1))
    async with admission.slot("acme"):
        pass

    with pytest.raises(RejectedError) as rejected:
        await admission.acquire("acme")

    assert rejected.value.status == 429
    assert rejected.value.headers == {"Retry-After": "5"}
    assert "0.2 requests a second" in rejected.value.detail
    assert remaining(admission) == '"organization";r=0;t=1'
    async with admission.slot("initech"):
        pass


async def test_operations_of_a_bulk_request_are_charged_to_the_rate():
    admission = admission_control(Rate(per_second=10, burst=50))
    async with admission.slot("acme"):
        admission.charge_requests("acme", 99)

    with pytest.raises(RejectedError) as rejected:
        await admission.acquire("acme")

    assert rejected.value.headers == {"Retry-After": "6"}  # 51 requests over the rate


async def test_request_without_a_slot_is_not_charged():
    admission = admission_control(Rate(per_second=1, burst=50), slots=1)
    await admission.acquire("acme")
    waiting = [asyncio.create_task(admission.acquire("acme")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RejectedError) as rejected:
        await admission.acquire("acme")
    refused = remaining(admission)
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)

    assert rejected.value.status == 503
    assert (refused, remaining(admission)) == (
        '"organization";r=47;t=47',
        '"organization";r=49;t=49',
    )


async def test_preparation_is_charged_unless_it_is_rejected():
    admission, done = admission_control(Rate(per_second=10, burst=50), slots=1), []

    async def read() -> None:
        done.append(True)
        if len(done) == 2:
            raise no_slot()

    async with admission.slot("acme", read):
        with pytest.raises(RejectedError):
            await admission.acquire("acme", read)
        assert remaining(admission) == '"organization";r=48;t=5'
        waiting = [asyncio.create_task(admission.acquire("acme")) for _ in range(2)]
        await asyncio.sleep(0)
        # The queue is full, so the request is rejected before its body is read.
        with pytest.raises(RejectedError):
            await admission.acquire("acme", read)
        assert len(done) == 2
        assert remaining(admission) == '"organization";r=46;t=5'
        for each in waiting:
            each.cancel()


@pytest.mark.parametrize("requests", [0, 1, 20])
async def test_bytes_and_cpu_time_count_as_requests(requests: int):
    for_bytes, for_cpu = (
        admission_control(Rate(per_second=10, burst=50)),
        admission_control(Rate(per_second=10, burst=50)),
    )
    for_bytes.charge_bytes("acme", requests * BYTES_PER_REQUEST + 100)
    for_cpu.charge_cpu("acme", (requests + 1.5) * CPU_SECONDS_PER_REQUEST)

    expected = f'"organization";r={50 - requests};t='
    assert remaining(for_bytes).startswith(expected)
    assert remaining(for_cpu).startswith(expected)


async def test_charge_over_the_rate_rejects_only_its_organization():
    admission = admission_control(Rate(per_second=10, burst=50))
    admission.charge_bytes("acme", 60 * BYTES_PER_REQUEST)

    with pytest.raises(RejectedError) as rejected:
        await admission.acquire("acme")
    async with admission.slot("initech"):
        pass

    assert (rejected.value.status, rejected.value.headers) == (429, {"Retry-After": "2"})
