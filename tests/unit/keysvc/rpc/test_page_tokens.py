"""Page tokens: the positions they hold and the lists they belong to."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import INVALID_PAGE_TOKEN
from keysvc.domain.pages import AFTER_ALL, BEFORE_ALL, Position
from keysvc.rpc.page_tokens import from_token, to_token
from tests.support.refusals import raises_refusal

POSITIONS = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.uuids())
SCOPE, OTHER_SCOPE = UUID(int=1), UUID(int=2)
EXAMPLE = to_token(SCOPE, Position(datetime(2026, 3, 1, tzinfo=UTC), UUID(int=3)))


@given(st.uuids(), POSITIONS)
def test_page_token_restores_its_position(scope: UUID, position: Position):
    assert from_token(scope, to_token(scope, position), BEFORE_ALL) == position


def test_list_without_a_page_token_starts_at_the_first_element():
    assert from_token(SCOPE, "", AFTER_ALL) == AFTER_ALL


@given(st.text())
def test_invalid_page_token_is_refused(text: str):
    if text:
        with raises_refusal(INVALID_PAGE_TOKEN):
            from_token(SCOPE, text, BEFORE_ALL)


@pytest.mark.parametrize(
    ("scope", "token"),
    [
        (OTHER_SCOPE, EXAMPLE),
        (SCOPE, EXAMPLE[:-1]),
        (SCOPE, EXAMPLE + "A"),
        (SCOPE, EXAMPLE + "=="),
        (SCOPE, "_" + EXAMPLE[1:]),
        (SCOPE, "é" + EXAMPLE[1:]),
        (SCOPE, "A" * 1_000_000),
    ],
    ids=["other list", "truncated", "longer", "padded", "modified", "not ASCII", "very long"],
)
def test_page_token_of_another_list_or_modified_token_is_refused(scope: UUID, token: str):
    with raises_refusal(INVALID_PAGE_TOKEN):
        from_token(scope, token, BEFORE_ALL)
