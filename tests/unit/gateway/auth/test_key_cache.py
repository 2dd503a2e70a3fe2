"""Cache of verified keys; valid only while the watch of key changes is live."""

from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.auth.key_cache import (
    MAX_CONFIRMATIONS,
    MAX_KEYS,
    MAX_SILENCE_SECONDS,
    TTL_SECONDS,
    KeyCache,
)
from tests.support.clocks import Clock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEARTBEAT = pb.WatchKeysResponse(heartbeat=pb.WatchKeysResponse.Heartbeat())
RESET = pb.WatchKeysResponse(reset=pb.WatchKeysResponse.Reset())


def change(organization_id: str) -> pb.WatchKeysResponse:
    event = pb.WatchKeysResponse.OrganizationChange(organization_id=organization_id)
    return pb.WatchKeysResponse(organization_change=event)


@pytest.fixture
def cache(clock: Clock) -> KeyCache[str]:
    cache: KeyCache[str] = KeyCache(clock)
    cache.apply(RESET)
    return cache


def put(cache: KeyCache[str], expire_time: datetime | None = None) -> None:
    cache.put(b"digest", "caller", "acme", expire_time, cache.generation())


def test_key_is_cached_while_the_watch_is_live(cache, clock):
    put(cache)
    clock.seconds += MAX_SILENCE_SECONDS / 2
    cache.apply(HEARTBEAT)
    clock.seconds += MAX_SILENCE_SECONDS / 2

    assert cache.get(b"digest", NOW) == "caller"


def test_cached_keys_are_unused_while_the_watch_is_silent(cache, clock):
    put(cache)

    clock.seconds += MAX_SILENCE_SECONDS
    silent = cache.get(b"digest", NOW)
    cache.apply(HEARTBEAT)

    assert (silent, cache.get(b"digest", NOW)) == (None, "caller")


def test_cached_keys_are_unused_before_the_watch_starts(clock):
    cache: KeyCache[str] = KeyCache(clock)
    put(cache)

    assert cache.get(b"digest", NOW) is None


def test_change_drops_the_cached_keys_of_its_organization_only(cache):
    put(cache)

    cache.apply(change("initech"))
    untouched = cache.get(b"digest", NOW)
    cache.apply(change("acme"))

    assert (untouched, cache.get(b"digest", NOW)) == ("caller", None)


def test_reset_of_the_watch_drops_every_cached_key(cache):
    put(cache)

    cache.apply(RESET)

    assert cache.get(b"digest", NOW) is None


def test_key_looked_up_before_a_change_is_not_cached(cache):
    generation = cache.generation()
    cache.apply(change("acme"))

    cache.put(b"digest", "caller", "acme", None, generation)

    assert cache.get(b"digest", NOW) is None


def test_cached_key_is_unused_from_its_expire_time(cache):
    put(cache, NOW)

    assert cache.get(b"digest", NOW - timedelta(microseconds=1)) == "caller"
    assert cache.get(b"digest", NOW) is None


def test_cached_key_expires_after_half_a_minute(cache, clock):
    """A new lookup lets keysvc record that the key is in use."""
    put(cache)

    clock.seconds += TTL_SECONDS
    cache.apply(HEARTBEAT)

    assert cache.get(b"digest", NOW) is None


def test_keys_of_many_organizations_are_confirmed_at_a_bounded_rate(cache, clock):
    """10,000 keys, each used all the time, would be 333 calls of keysvc per second."""
    number = int(10 * TTL_SECONDS * MAX_CONFIRMATIONS)
    for each in range(number):
        cache.put(str(each).encode(), "caller", str(each), None, cache.generation())

    clock.seconds += number / MAX_CONFIRMATIONS - 1.0
    cache.apply(HEARTBEAT)
    assert cache.get(b"0", NOW) == "caller"

    clock.seconds += 1.0
    cache.apply(HEARTBEAT)
    assert cache.get(b"0", NOW) is None


def test_entries_without_a_limit_of_confirmations_expire_after_half_a_minute(clock):
    """Refusals of keys are cached so, however many there are."""
    cache: KeyCache[str] = KeyCache(clock, max_confirmations=inf)
    cache.apply(RESET)
    for each in range(int(2 * TTL_SECONDS * MAX_CONFIRMATIONS)):
        cache.put(str(each).encode(), "refusal", str(each), None, cache.generation())

    clock.seconds += TTL_SECONDS
    cache.apply(HEARTBEAT)
    assert cache.get(b"0", NOW) is None


def test_change_drops_keys_that_were_stored_again(cache):
    put(cache)
    put(cache)
    cache.put(b"digest", "caller", "initech", None, cache.generation())

    cache.apply(change("acme"))
    moved = cache.get(b"digest", NOW)
    cache.apply(change("initech"))

    assert (moved, cache.get(b"digest", NOW)) == ("caller", None)


def test_full_key_cache_drops_the_oldest_key(cache):
    put(cache)
    for number in range(MAX_KEYS):
        cache.put(str(number).encode(), "other", "initech", None, cache.generation())

    assert cache.get(b"digest", NOW) is None
    assert cache.get(b"0", NOW) == "other"
