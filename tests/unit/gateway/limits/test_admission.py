"""Admission control: rejections and rate limit headers."""

import asyncio

import pytest
import structlog

from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from gateway.limits.admission import BYTES_PER_REQUEST, CPU_SECONDS_PER_REQUEST, AdmissionControl
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectionStats, no_slot


def gate(rate: Rate, places: int = 4) -> AdmissionControl:
    stopped = RateLimiter(rate, lambda: 1_000.0)
    return AdmissionControl(
        stopped, FairSemaphore(places, no_slot, 30.0), RejectionStats(structlog.get_logger())
    )


def remaining(of: AdmissionControl) -> str:
    return of.headers("acme")["RateLimit"]


async def test_the_headers_tell_the_policy_and_what_is_left_of_it():
    ours = gate(Rate(per_second=10, burst=50))
    before = remaining(ours)
    for _ in range(3):
        async with ours.slot("acme"):
            pass

    assert ours.headers("acme")["RateLimit-Policy"] == '"organization";q=50;w=5'
    assert (before, remaining(ours)) == ('"organization";r=50;t=5', '"organization";r=47;t=5')


async def test_one_over_the_rate_is_429_and_told_when_to_come_back():
    ours = gate(Rate(per_second=0.2, burst=1))
    async with ours.slot("acme"):
        pass

    with pytest.raises(RejectedError) as turned_away:
        await ours.acquire("acme")

    assert turned_away.value.status == 429
    assert turned_away.value.headers == {"Retry-After": "5"}
    assert "0.2 requests a second" in turned_away.value.detail
    assert remaining(ours) == '"organization";r=0;t=1'
    async with ours.slot("initech"):
        pass


async def test_what_a_bulk_request_brings_is_held_against_later_requests():
    ours = gate(Rate(per_second=10, burst=50))
    async with ours.slot("acme"):
        ours.charge_requests("acme", 99)

    with pytest.raises(RejectedError) as turned_away:
        await ours.acquire("acme")

    assert turned_away.value.headers == {"Retry-After": "6"}  # 51 requests too many


async def test_who_finds_no_place_has_not_used_up_anything():
    ours = gate(Rate(per_second=1, burst=50), places=1)
    await ours.acquire("acme")
    waiting = [asyncio.create_task(ours.acquire("acme")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RejectedError) as turned_away:
        await ours.acquire("acme")
    refused = remaining(ours)
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)

    assert turned_away.value.status == 503
    assert (refused, remaining(ours)) == ('"organization";r=47;t=47', '"organization";r=49;t=49')


async def test_rejection_predicts_what_acquire_refuses():
    ours = gate(Rate(per_second=1, burst=2), places=2)
    before = ours.rejection("acme")
    await ours.acquire("acme")
    await ours.acquire("initech")
    after = ours.rejection("acme")
    ours.release("acme")
    await ours.acquire("acme")
    with pytest.raises(RejectedError):
        await ours.acquire("acme")

    assert (before, after) == (None, None)
    refusal = ours.rejection("acme")
    assert refusal is not None
    assert refusal.status == 429
    assert ours.is_overloaded


async def test_only_a_request_that_is_turned_away_is_pressure():
    ours = gate(Rate(per_second=1, burst=1))
    await ours.acquire("acme")
    refusal = ours.rejection("acme")
    asked = ours.is_overloaded
    assert refusal is not None
    ours.count_rejection(refusal, "acme")

    assert (asked, ours.is_overloaded) == (False, True)


async def test_what_was_done_before_a_place_counts_and_what_was_refused_before_does_not():
    ours, done = gate(Rate(per_second=10, burst=50), places=1), []

    async def read() -> None:
        done.append(True)
        if len(done) == 2:
            raise no_slot()

    async with ours.slot("acme", read):
        with pytest.raises(RejectedError):
            await ours.acquire("acme", read)
        assert remaining(ours) == '"organization";r=48;t=5'
        waiting = [asyncio.create_task(ours.acquire("acme")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RejectedError):  # at once: nothing is read for whom there is no room
            await ours.acquire("acme", read)
        assert len(done) == 2
        assert remaining(ours) == '"organization";r=46;t=5'
        for each in waiting:
            each.cancel()


async def test_those_who_come_count_as_if_they_were_there():
    """Each sends one, so it is the sum of them that there is no room for."""
    ours = gate(Rate(per_second=10, burst=50), places=2)
    room = 2 * (1 + QUEUE_PER_SLOT)
    names = [f"organization {number}" for number in range(room + 2)]
    refused = 0
    for name in names:
        if ours.rejection(name) is None:
            ours.add_pending(name)
        else:
            refused += 1

    assert refused == 2
    for name in names[:room]:
        ours.remove_pending(name)
    assert ours.rejection("acme") is None


async def test_those_who_come_have_taken_what_is_left_of_a_rate():
    ours = gate(Rate(per_second=10, burst=2))
    assert ours.rejection("acme") is None
    ours.add_pending("acme")
    ours.add_pending("acme")

    refusal = ours.rejection("acme")

    assert refusal is not None
    assert refusal.status == 429
    assert ours.rejection("initech") is None


@pytest.mark.parametrize("requests", [0, 1, 20])
async def test_bytes_and_cpu_time_count_as_requests(requests: int):
    for_bytes, for_cpu = gate(Rate(per_second=10, burst=50)), gate(Rate(per_second=10, burst=50))
    for_bytes.charge_bytes("acme", requests * BYTES_PER_REQUEST + 100)
    for_cpu.charge_cpu("acme", (requests + 1.5) * CPU_SECONDS_PER_REQUEST)

    left = f'"organization";r={50 - requests};t='
    assert remaining(for_bytes).startswith(left)
    assert remaining(for_cpu).startswith(left)


async def test_a_charge_beyond_the_rate_keeps_out_its_organization_alone():
    ours = gate(Rate(per_second=10, burst=50))
    ours.charge_bytes("acme", 60 * BYTES_PER_REQUEST)

    with pytest.raises(RejectedError) as turned_away:
        await ours.acquire("acme")
    async with ours.slot("initech"):
        pass

    assert (turned_away.value.status, turned_away.value.headers) == (429, {"Retry-After": "2"})
