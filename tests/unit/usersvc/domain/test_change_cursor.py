"""The tokens of the change feed."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersvc.domain.changes import FIRST_TIMED, ChangeCursor, fingerprint

ACME = UUID(int=10)
timed = st.integers(FIRST_TIMED, 2**52)
cursors = st.builds(
    lambda number, later, mark: ChangeCursor(
        UUID(int=1), ACME, number, frozenset(number + each for each in later), mark
    ),
    timed,
    st.frozensets(st.integers(1, 1_000), max_size=3),
    st.none() | st.integers(0, FIRST_TIMED - 1),
)


@given(cursors)
def test_token_keeps_the_cursor(cursor: ChangeCursor):
    assert ChangeCursor.from_token(cursor.token(), ACME) == cursor


@given(cursors)
def test_token_has_only_numbers_that_earlier_releases_ignore(cursor: ChangeCursor):
    _, _, number, *others = json.loads(urlsafe_b64decode(cursor.token()))
    assert number == cursor.number
    assert {each for each in others if each > number} == cursor.seen


@pytest.mark.parametrize("number", [0, 7, FIRST_TIMED - 1])
def test_token_before_timed_numbers_has_no_fingerprint(number: int):
    cursor = ChangeCursor(UUID(int=1), ACME, number, frozenset({number + 2, number + 5}))
    assert ChangeCursor.from_token(cursor.token(), ACME) == cursor


def test_fingerprint_depends_on_the_resource_and_on_the_time():
    resource_id, now = uuid4(), datetime.now(UTC)
    marks = {
        fingerprint(resource_id, now),
        fingerprint(resource_id, now + timedelta(microseconds=1)),
        fingerprint(uuid4(), now),
    }
    assert len(marks) == 3
    assert all(0 <= mark < FIRST_TIMED for mark in marks)
