"""Tokens and the linking rule, without a database."""

import string
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersvc import session_token, sessions
from usersvc.errors import Refusal, SignInAmbiguous, SignInConflict, SignInUnknown, UserInactive
from usersvc.session_token import Token
from usersvc.sessions import Identity
from usersvc.users import Profile, TypedValue, User

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ANN = Identity("oid-ann", "ann@acme.test")
TOKENS = st.builds(Token, st.uuids(), st.binary(min_size=32, max_size=32))


def user(external_id: str, active: bool | None = True) -> User:
    return User(UUID(int=1), UUID(int=2), 1, NOW, NOW, Profile("ann", external_id, active))


USERS = st.builds(
    user, st.sampled_from(["", "oid-ann", "oid-other"]), st.sampled_from([True, False, None])
)


@given(TOKENS)
def test_a_token_is_read_as_it_was_made(token: Token):
    assert session_token.parse(token.text) == token
    assert len(token.text) == 66
    assert set(token.text) <= set(string.ascii_letters + string.digits + "-_.")


@given(TOKENS, st.data())
def test_a_token_with_another_spelling_is_none_or_another(token: Token, data: st.DataObject):
    where = data.draw(st.integers(0, 65))
    changed = token.text[:where] + data.draw(st.characters()) + token.text[where + 1 :]
    assert changed == token.text or session_token.parse(changed) != token


@given(st.text())
def test_any_text_is_read_as_a_token_or_as_none(text: str):
    token = session_token.parse(text)
    assert token is None or token.text == text


def test_a_token_that_is_shown_by_accident_hides_its_secret():
    token = session_token.generate(UUID(int=1), lambda size: b"S" * size)
    assert token.secret == b"S" * 32
    assert "SSS" not in repr(token)


@given(st.lists(USERS, max_size=3), st.none() | USERS)
def test_who_is_matched_is_active_and_nobody_else_to_the_identity_provider(holders, namesake):
    holders = [each for each in holders if each.profile.external_id == ANN.object_identifier]
    try:
        found = sessions.matched(ANN, holders, namesake)
    except Refusal:
        return
    if found is None:
        assert (holders, namesake) == ([], None)
        return
    assert found.profile.active is True
    assert found.profile.external_id in ("", "oid-ann")
    assert found == (holders[0] if holders else namesake)
    assert len(holders) < 2


@pytest.mark.parametrize(
    ("holders", "namesake", "refusal"),
    [
        ([user("oid-ann"), user("oid-ann")], None, SignInAmbiguous),
        ([user("oid-ann", None)], user(""), UserInactive),
        ([], user("", False), UserInactive),
        ([], user("oid-other"), SignInConflict),
        ([], user("oid-other", False), SignInConflict),
    ],
)
def test_the_linking_rule_refuses_rather_than_choose(holders, namesake, refusal):
    with pytest.raises(refusal):
        sessions.matched(ANN, holders, namesake)


def test_nobody_is_created_unless_that_is_wanted():
    with pytest.raises(SignInUnknown):
        sessions.created(ANN, create_missing=False)
    assert sessions.created(ANN, create_missing=True) == ANN.profile


def test_a_new_administrator_keeps_other_roles():
    roles = (TypedValue(value="Learner"),)
    appointed = sessions.with_administrator(Profile("ann", roles=roles))
    assert appointed == Profile("ann", roles=(*roles, TypedValue(value="Administrator")))
