"""Failed authentication is limited by address; valid keys are not charged."""

import asyncio
from datetime import UTC, datetime

import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.auth.failed_auth import (
    MAX_LOOKUPS,
    MAX_LOOKUPS_OF_ADDRESS,
    MAX_LOOKUPS_OF_SITE,
    RECOVERY_SECONDS,
    SITE_MULTIPLE,
    TOTAL_MULTIPLE,
    FailedAuthLimiter,
    KeyLookup,
)
from gateway.auth.key_cache import MAX_SILENCE_SECONDS, TTL_SECONDS
from gateway.backend.errors import HTTP_ERRORS, BackendRefusal
from gateway.limits.rejections import RejectedError
from gateway.scim.errors import ScimError
from tests.support.clocks import Clock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RESET = pb.WatchKeysResponse(reset=pb.WatchKeysResponse.Reset())
HEARTBEAT = pb.WatchKeysResponse(heartbeat=pb.WatchKeysResponse.Heartbeat())
ADDRESS = "192.0.2.1"
BURST = 5


@pytest.fixture
def limiter(clock: Clock) -> FailedAuthLimiter:
    created = FailedAuthLimiter(BURST, clock)
    created.apply(RESET)
    return created


def refusal(reason: str = "KEY_UNKNOWN", organization_id: str = "") -> BackendRefusal:
    error, metadata = HTTP_ERRORS[reason], {"organization_id": organization_id}
    return BackendRefusal(error.status, error.scim_type, "no", error.headers, reason, metadata)


async def send_unknown(
    limiter: FailedAuthLimiter, token: bytes, address: str = ADDRESS
) -> ScimError:
    """The error that the sender of an unknown token receives."""
    return limiter.record_refusal(await limiter.begin_lookup(token, address), refusal())


async def exhaust(limiter: FailedAuthLimiter, address: str = ADDRESS) -> None:
    for number in range(BURST):
        assert (
            await send_unknown(limiter, b"wrong %s %d" % (address.encode(), number), address)
        ).status == 401


async def let_run(*tasks: asyncio.Task[KeyLookup]) -> list[bool]:
    """Which tasks are done after every task has run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_address_over_its_limit_of_unknown_keys_gets_429(limiter, clock):
    await exhaust(limiter)

    over = await send_unknown(limiter, b"next")
    clock.seconds += RECOVERY_SECONDS
    recovered = await send_unknown(limiter, b"another")

    assert isinstance(over, RejectedError)
    assert over.status == 429
    assert over.headers == {"Retry-After": "2"}
    assert recovered.status == 401


async def test_unknown_key_from_another_address_is_not_limited(limiter):
    await exhaust(limiter)

    assert (await send_unknown(limiter, b"next", "192.0.2.2")).status == 401


async def test_valid_key_passes_from_an_address_over_its_limit(limiter):
    """After a restart of the gateway no key is cached, so every valid key needs a lookup."""
    await exhaust(limiter)
    for number in range(40):
        assert (await send_unknown(limiter, b"%d" % number)).status == 429
        limiter.record_verified(await limiter.begin_lookup(b"right %d" % number, ADDRESS))


async def test_unknown_key_sent_again_after_429_gets_401(limiter):
    await exhaust(limiter)
    await send_unknown(limiter, b"next")

    assert limiter.cached_refusal(b"next", NOW).status == 401


async def test_unknown_key_is_charged_once_without_a_cached_refusal(limiter, clock):
    """While the watch is silent, no refusal is cached."""
    clock.seconds += MAX_SILENCE_SECONDS
    for _ in range(BURST * 3):
        assert limiter.cached_refusal(b"wrong", NOW) is None
        assert (await send_unknown(limiter, b"wrong")).status == 401
    for number in range(BURST - 1):
        assert (await send_unknown(limiter, b"%d" % number)).status == 401

    assert (await send_unknown(limiter, b"next")).status == 429


async def test_valid_keys_are_not_charged(limiter):
    for number in range(BURST * 3):
        limiter.record_verified(await limiter.begin_lookup(b"right %d" % number, ADDRESS))

    await exhaust(limiter)


@pytest.mark.parametrize("reason", ["KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE"])
async def test_formerly_valid_keys_are_not_charged(limiter, reason):
    for number in range(BURST * 3):
        expected = refusal(reason, "acme")
        lookup = await limiter.begin_lookup(b"old %d" % number, ADDRESS)
        assert limiter.record_refusal(lookup, expected).refusal is expected

    await exhaust(limiter)


async def test_lookup_without_a_result_is_not_charged(limiter):
    unavailable = refusal("DATABASE_UNAVAILABLE")
    for number in range(BURST * 3):
        limiter.end_lookup(await limiter.begin_lookup(b"%d" % number, ADDRESS))
        lookup = await limiter.begin_lookup(b"%d" % number, ADDRESS)
        assert limiter.record_refusal(lookup, unavailable).refusal is unavailable

    await exhaust(limiter)


async def test_lookups_over_the_slots_of_an_address_wait(limiter):
    limiter.record_verified(await limiter.begin_lookup(b"right", "198.51.100.7"))
    under_way = [
        await limiter.begin_lookup(b"%d" % n, ADDRESS) for n in range(MAX_LOOKUPS_OF_ADDRESS)
    ]
    first, second = (
        asyncio.create_task(limiter.begin_lookup(key, ADDRESS)) for key in (b"a", b"b")
    )
    waiting = await let_run(first, second)
    await limiter.begin_lookup(b"right", ADDRESS)  # verified before: does not wait
    await limiter.begin_lookup(b"c", "192.0.2.2")
    limiter.record_refusal(under_way[0], refusal())

    assert waiting == [False, False]
    assert await let_run(first, second) == [True, False]
    limiter.end_lookup(under_way[1])
    await second


async def test_lookup_without_a_slot_in_time_gets_503(limiter):
    for number in range(MAX_LOOKUPS_OF_ADDRESS):
        await limiter.begin_lookup(b"%d" % number, ADDRESS)

    with pytest.raises(RejectedError) as rejected:
        await limiter.begin_lookup(b"next", ADDRESS)

    assert rejected.value.status == 503


async def test_lookups_over_the_slots_of_all_addresses_wait(limiter):
    lookups = [
        await limiter.begin_lookup(b"%d" % number, f"10.0.{number}.1")
        for number in range(MAX_LOOKUPS)
    ]
    waiting = asyncio.create_task(limiter.begin_lookup(b"next", "10.1.0.1"))

    assert await let_run(waiting) == [False]
    limiter.record_refusal(lookups[0], refusal())
    await waiting


async def test_lookups_over_the_queue_are_rejected_immediately(limiter):
    waiting = [asyncio.create_task(limiter.begin_lookup(b"%d" % n, ADDRESS)) for n in range(1_000)]
    done = await let_run(*waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert 0 < done.count(False) <= MAX_LOOKUPS * 2


async def test_refusal_is_cached_for_half_a_minute(limiter, clock):
    await send_unknown(limiter, b"wrong")
    cached = limiter.cached_refusal(b"wrong", NOW)
    for _ in range(int(TTL_SECONDS / MAX_SILENCE_SECONDS * 2) + 2):
        clock.seconds += MAX_SILENCE_SECONDS / 2
        limiter.apply(HEARTBEAT)

    assert cached is not None
    assert cached.reason == "KEY_UNKNOWN"
    assert limiter.cached_refusal(b"wrong", NOW) is None
    assert limiter.cached_refusal(b"another", NOW) is None


async def test_cached_refusal_is_dropped_when_its_organization_changes(limiter):
    """An integration that is switched on again accepts its keys immediately."""
    limiter.record_refusal(
        await limiter.begin_lookup(b"off", ADDRESS), refusal("INTEGRATION_INACTIVE", "acme")
    )
    before = limiter.cached_refusal(b"off", NOW)
    change = pb.WatchKeysResponse.OrganizationChange(organization_id="acme")
    limiter.apply(pb.WatchKeysResponse(organization_change=change))

    assert before is not None
    assert limiter.cached_refusal(b"off", NOW) is None


async def test_cached_refusals_are_unused_while_the_watch_is_silent(limiter, clock):
    await send_unknown(limiter, b"wrong")
    clock.seconds += MAX_SILENCE_SECONDS

    assert limiter.cached_refusal(b"wrong", NOW) is None


async def test_unavailability_of_keysvc_is_not_cached(limiter):
    limiter.record_refusal(
        await limiter.begin_lookup(b"right", ADDRESS), refusal("DATABASE_UNAVAILABLE")
    )

    assert limiter.cached_refusal(b"right", NOW) is None


async def test_each_refused_request_gets_a_new_exception(limiter):
    """A raised exception references the frames that it passed, and so the request."""
    shared = refusal()
    first, second = [
        limiter.record_refusal(await limiter.begin_lookup(b"%d" % number, ADDRESS), shared)
        for number in range(2)
    ]

    assert first is not second
    assert limiter.cached_refusal(b"0", NOW) is shared


async def test_ipv6_site_over_its_limit_of_unknown_keys_gets_429(limiter):
    statuses = [
        (await send_unknown(limiter, b"%d" % number, f"2001:db8:1:{number:x}::1")).status
        for number in range(BURST * SITE_MULTIPLE + 5)
    ]

    assert statuses == [401] * (BURST * SITE_MULTIPLE) + [429] * 5
    assert (await send_unknown(limiter, b"next", "2001:db8:2::1")).status == 401


async def test_unknown_keys_over_the_total_limit_get_429(limiter):
    number = BURST * TOTAL_MULTIPLE
    statuses = [
        (await send_unknown(limiter, b"%d" % n, separate_address(n))).status for n in range(number)
    ]
    over = await send_unknown(limiter, b"next", "198.51.100.7")

    assert statuses == [401] * number
    assert over.status == 429


async def test_unknown_key_over_a_limit_holds_its_slot_for_a_while(limiter):
    """The response 429 alone would not slow the lookups at keysvc."""
    await exhaust(limiter)
    for number in range(MAX_LOOKUPS_OF_ADDRESS):
        await send_unknown(limiter, b"over %d" % number)
    waiting = asyncio.create_task(limiter.begin_lookup(b"next", ADDRESS))

    assert await let_run(waiting) == [False]
    await waiting


async def test_addresses_over_their_limit_leave_slots_for_others(limiter):
    addresses = [f"10.0.0.{number}" for number in range(MAX_LOOKUPS)]
    for address in addresses:
        await exhaust(limiter, address)
    tasks = [
        asyncio.create_task(limiter.begin_lookup(b"%s %d" % (address.encode(), n), address))
        for address in addresses
        for n in range(4)
    ]
    await let_run(*tasks)
    fresh = asyncio.create_task(limiter.begin_lookup(b"fresh", "198.51.100.7"))

    assert await let_run(fresh) == [True]
    await cancel_all(tasks)


async def test_addresses_with_unknown_keys_yield_at_the_total_limit(limiter):
    for n in range(BURST * TOTAL_MULTIPLE):
        await send_unknown(limiter, b"%d" % n, separate_address(n))
    tasks = [
        asyncio.create_task(limiter.begin_lookup(b"more %d" % n, separate_address(n)))
        for n in range(MAX_LOOKUPS * 2)
    ]
    await let_run(*tasks)
    fresh = asyncio.create_task(limiter.begin_lookup(b"fresh", "198.51.100.7"))

    assert await let_run(fresh) == [True]
    await cancel_all(tasks)


async def test_networks_of_a_site_share_the_lookup_slots_of_the_site(limiter):
    many_networks = [
        asyncio.create_task(limiter.begin_lookup(b"%d" % n, f"2001:db8:1:{n:x}::1"))
        for n in range(200)
    ]
    one_network = [
        asyncio.create_task(limiter.begin_lookup(b"g%d" % n, "2001:db8:1::1")) for n in range(9)
    ]
    done = await let_run(*many_networks)
    other_site = asyncio.create_task(limiter.begin_lookup(b"other", "2001:db8:2::1"))

    assert done.count(True) == MAX_LOOKUPS_OF_SITE
    assert await let_run(other_site) == [True]
    await cancel_all([*many_networks, *one_network])


async def test_completed_lookups_leave_no_state(limiter):
    for number in range(50):
        limiter.record_verified(
            await limiter.begin_lookup(b"right %d" % number, f"2001:db8:{number:x}::1")
        )

    assert len(limiter._slots) == 0


def separate_address(number: int) -> str:
    """An address in a separate network, IPv4 or IPv6 in turn."""
    return f"10.1.{number >> 8}.{number & 255}" if number % 2 else f"2001:db8:{number:x}::1"


async def cancel_all(tasks: list[asyncio.Task[KeyLookup]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
