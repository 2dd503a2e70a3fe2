"""Signed pagination cursors, with a clock that the tests move."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.query.cursors import LIFETIME, MAX_LENGTH, Cursors
from gateway.signing.shared_secrets import SharedSecrets
from tests.support.clocks import StoppedClock
from tests.support.scim_errors import refused

ACME, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
SECRET = b"s" * 32
UNRESERVED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def cursors(clock: StoppedClock) -> Cursors:
    return Cursors(SharedSecrets((SECRET,)), clock)


@given(st.text(max_size=60), st.text(max_size=60))
def test_cursor_opens_to_its_position_and_is_url_safe(query, position):
    cursors = Cursors(SharedSecrets((SECRET,)), StoppedClock())
    cursor = cursors.sign(ACME, query, position)
    assert set(cursor) <= UNRESERVED
    assert cursors.verify(ACME, query, cursor) == position


def test_cursor_expires_after_an_hour(cursors, clock):
    cursor = cursors.sign(ACME, "q", "p")

    clock.now += LIFETIME - timedelta(seconds=1)
    assert cursors.verify(ACME, "q", cursor) == "p"

    clock.now += timedelta(seconds=1)
    with refused(400, "expiredCursor", "60 minutes"):
        cursors.verify(ACME, "q", cursor)


def test_cursor_of_another_organization_or_query_is_refused(cursors):
    cursor = cursors.sign(ACME, "q", "p")
    for organization_id, query in ((OTHER, "q"), (ACME, "r")):
        with refused(400, "invalidCursor"):
            cursors.verify(organization_id, query, cursor)


def test_cursor_is_valid_only_with_the_secret_that_signed_it(cursors, clock):
    cursor = cursors.sign(ACME, "q", "p")
    assert Cursors(SharedSecrets((SECRET,)), clock).verify(ACME, "q", cursor) == "p"
    with refused(400, "invalidCursor"):
        Cursors(SharedSecrets((b"t" * 32,)), clock).verify(ACME, "q", cursor)


def test_cursor_with_any_bit_changed_is_refused(cursors):
    cursor = cursors.sign(ACME, "q", "position")
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for index in range(len(content) * 8):
        changed = bytearray(content)
        changed[index // 8] ^= 1 << index % 8
        with refused(400, "invalidCursor"):
            cursors.verify(ACME, "q", base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: base64.b64encode(b).decode()))
def test_text_that_is_not_a_cursor_is_refused(cursor):
    with refused(400, "invalidCursor"):
        Cursors(SharedSecrets((SECRET,)), StoppedClock()).verify(ACME, "q", cursor)


def test_cursor_in_another_encoding_of_its_bytes_is_refused(cursors):
    cursor = cursors.sign(ACME, "q", "pp")
    assert len(cursor) % 4 == 0
    with_unused_bits = cursors.sign(ACME, "q", "p" * 3)
    assert len(with_unused_bits) % 4 == 2
    unused_bit_set = with_unused_bits[:-1] + chr(ord(with_unused_bits[-1]) + 1)
    other_encodings = [cursor + "=", cursor + "\n", " " + cursor, unused_bit_set]
    for text in (*other_encodings, "A" * (MAX_LENGTH + 1)):
        with refused(400, "invalidCursor"):
            cursors.verify(ACME, "q", text)


def test_position_after_the_longest_text_fits_into_a_cursor(cursors):
    position = "x" * 11_000
    assert cursors.verify(ACME, "q", cursors.sign(ACME, "q", position)) == position
