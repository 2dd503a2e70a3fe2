"""A verified key is used from memory only while nobody can have ended it."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.auth.key_cache import MAX_KEYS, MAX_SILENCE_SECONDS, TTL_SECONDS, KeyCache

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEARTBEAT = pb.WatchKeysResponse(heartbeat=pb.WatchKeysResponse.Heartbeat())
RESET = pb.WatchKeysResponse(reset=pb.WatchKeysResponse.Reset())


def change(organization_id: str) -> pb.WatchKeysResponse:
    event = pb.WatchKeysResponse.OrganizationChange(organization_id=organization_id)
    return pb.WatchKeysResponse(organization_change=event)


class Watch:
    """The seconds that have passed, as a monotonic clock tells them."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def cache(watch: Watch) -> KeyCache[str]:
    cache: KeyCache[str] = KeyCache(watch)
    cache.apply(RESET)
    return cache


def keep(cache: KeyCache[str], expire_time: datetime | None = None) -> None:
    cache.put(b"digest", "caller", "acme", expire_time, cache.generation())


def test_an_answer_is_kept_while_the_watch_is_heard(cache, watch):
    keep(cache)
    watch.seconds += MAX_SILENCE_SECONDS / 2
    cache.apply(HEARTBEAT)
    watch.seconds += MAX_SILENCE_SECONDS / 2

    assert cache.get(b"digest", NOW) == "caller"


def test_a_silent_watch_ends_the_use_of_every_answer_and_its_return_brings_them_back(cache, watch):
    keep(cache)

    watch.seconds += MAX_SILENCE_SECONDS
    silent = cache.get(b"digest", NOW)
    cache.apply(HEARTBEAT)

    assert (silent, cache.get(b"digest", NOW)) == (None, "caller")


def test_nothing_is_used_before_the_watch_was_heard_for_the_first_time(watch):
    cache: KeyCache[str] = KeyCache(watch)
    keep(cache)

    assert cache.get(b"digest", NOW) is None


def test_a_change_of_its_organization_ends_an_answer_and_of_another_does_not(cache):
    keep(cache)

    cache.apply(change("initech"))
    untouched = cache.get(b"digest", NOW)
    cache.apply(change("acme"))

    assert (untouched, cache.get(b"digest", NOW)) == ("caller", None)


def test_a_watch_that_begins_anew_ends_every_answer(cache):
    keep(cache)

    cache.apply(RESET)

    assert cache.get(b"digest", NOW) is None


def test_an_answer_that_was_asked_for_before_a_change_is_not_kept(cache):
    mark = cache.generation()
    cache.apply(change("acme"))

    cache.put(b"digest", "caller", "acme", None, mark)

    assert cache.get(b"digest", NOW) is None


def test_an_answer_is_not_used_from_the_moment_its_key_ends(cache):
    keep(cache, NOW)

    assert cache.get(b"digest", NOW - timedelta(microseconds=1)) == "caller"
    assert cache.get(b"digest", NOW) is None


def test_an_answer_is_asked_for_anew_after_half_a_minute_so_that_use_is_noticed(cache, watch):
    keep(cache)

    watch.seconds += TTL_SECONDS
    cache.apply(HEARTBEAT)

    assert cache.get(b"digest", NOW) is None


def test_the_oldest_answer_makes_room_when_there_are_too_many(cache):
    keep(cache)
    for number in range(MAX_KEYS):
        cache.put(str(number).encode(), "other", "initech", None, cache.generation())

    assert cache.get(b"digest", NOW) is None
    assert cache.get(b"0", NOW) == "other"
