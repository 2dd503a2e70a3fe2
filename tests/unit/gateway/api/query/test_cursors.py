"""Sealed pagination cursors, with a clock that the tests move."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.query.cursors import LIFETIME, MAX_LENGTH, Cursors
from tests.support.scim_errors import refused

ACME, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
SECRET = b"s" * 32
UNRESERVED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class MovableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def cursors(clock: MovableClock) -> Cursors:
    return Cursors(SECRET, clock)


@given(st.text(max_size=60), st.text(max_size=60))
def test_cursor_opens_to_its_position_and_is_url_safe(query, position):
    cursors = Cursors(SECRET, MovableClock())
    cursor = cursors.seal(ACME, query, position)
    assert set(cursor) <= UNRESERVED
    assert cursors.open(ACME, query, cursor) == position


def test_cursor_expires_after_an_hour(cursors, clock):
    cursor = cursors.seal(ACME, "q", "p")

    clock.now += LIFETIME - timedelta(seconds=1)
    assert cursors.open(ACME, "q", cursor) == "p"

    clock.now += timedelta(seconds=1)
    with refused(400, "expiredCursor", "60 minutes"):
        cursors.open(ACME, "q", cursor)


def test_cursor_of_another_organization_or_query_is_refused(cursors):
    cursor = cursors.seal(ACME, "q", "p")
    for organization_id, query in ((OTHER, "q"), (ACME, "r")):
        with refused(400, "invalidCursor"):
            cursors.open(organization_id, query, cursor)


def test_cursor_opens_only_with_the_secret_that_sealed_it(cursors, clock):
    cursor = cursors.seal(ACME, "q", "p")
    assert Cursors(SECRET, clock).open(ACME, "q", cursor) == "p"
    with refused(400, "invalidCursor"):
        Cursors(b"t" * 32, clock).open(ACME, "q", cursor)


def test_cursor_with_any_bit_changed_is_refused(cursors):
    cursor = cursors.seal(ACME, "q", "position")
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for index in range(len(content) * 8):
        changed = bytearray(content)
        changed[index // 8] ^= 1 << index % 8
        with refused(400, "invalidCursor"):
            cursors.open(ACME, "q", base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: base64.b64encode(b).decode()))
def test_text_that_is_not_a_cursor_is_refused(cursor):
    with refused(400, "invalidCursor"):
        Cursors(SECRET, MovableClock()).open(ACME, "q", cursor)


def test_cursor_in_another_encoding_of_its_bytes_is_refused(cursors):
    cursor = cursors.seal(ACME, "q", "pp")
    assert len(cursor) % 4 == 0
    padded = cursors.seal(ACME, "q", "p" * 3)
    assert len(padded) % 4 == 2
    last = padded[:-1] + chr(ord(padded[-1]) + 1)
    for other in (cursor + "=", cursor + "\n", " " + cursor, last, "A" * (MAX_LENGTH + 1)):
        with refused(400, "invalidCursor"):
            cursors.open(ACME, "q", other)


def test_position_after_the_longest_text_fits_into_a_cursor(cursors):
    position = "x" * 11_000
    assert cursors.open(ACME, "q", cursors.seal(ACME, "q", position)) == position
