"""Session tokens and the linking rule of sign-in, without a database."""

import string
from contextlib import nullcontext
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from tests.support.refusals import raises_refusal
from usersvc.domain import session_token, sessions
from usersvc.domain.errors import (
    SIGN_IN_AMBIGUOUS,
    SIGN_IN_CONFLICT,
    SIGN_IN_DOMAIN_UNPROVEN,
    SIGN_IN_UNKNOWN,
    USER_DELETED,
    USER_INACTIVE,
)
from usersvc.domain.session_token import Token
from usersvc.domain.sessions import Candidate, Identity
from usersvc.domain.users import Profile, TypedValue, User

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OID = "5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11"
OTHER = "0b1e5f3c-6f2f-4a52-8a51-9e3a0c5d7f10"
ANN = Identity(OID, "ann@acme.test")
TOKENS = st.builds(Token, st.uuids(), st.binary(min_size=32, max_size=32))


def candidate(external_id: str, linked_to: str = "", active: bool | None = True) -> Candidate:
    user = User(UUID(int=1), UUID(int=2), 1, NOW, NOW, Profile("ann", external_id, active))
    return Candidate(user, linked_to)


CANDIDATES = st.builds(
    candidate,
    st.sampled_from(["", "ann", OID, OID.upper(), OTHER]),
    st.sampled_from(["", OID, OTHER, "ann"]),
    st.sampled_from([True, False, None]),
)


@given(TOKENS)
def test_session_token_is_parsed_as_it_was_created(token: Token):
    assert session_token.parse(token.text) == token
    assert len(token.text) == 66
    assert set(token.text) <= set(string.ascii_letters + string.digits + "-_.")


@given(TOKENS, st.data())
def test_changed_session_token_is_not_the_same_token(token: Token, data: st.DataObject):
    position = data.draw(st.integers(0, 65))
    changed = token.text[:position] + data.draw(st.characters()) + token.text[position + 1 :]
    assert changed == token.text or session_token.parse(changed) != token


@given(st.text())
def test_any_text_is_parsed_as_a_token_or_none(text: str):
    token = session_token.parse(text)
    assert token is None or token.text == text


def test_repr_of_a_session_token_hides_its_secret():
    token = session_token.generate(UUID(int=1), lambda size: b"S" * size)
    assert token.secret == b"S" * 32
    assert "SSS" not in repr(token)


@given(st.lists(CANDIDATES, max_size=3), st.none() | CANDIDATES)
def test_matched_user_is_active_and_linked_to_no_other_identity(holders, same_name):
    holders = [
        holder for holder in holders if OID in (holder.linked_to, holder.user.profile.external_id)
    ]
    try:
        found = sessions.match_user(ANN, holders, same_name)
    except Refusal:
        return
    if found is None:
        assert (holders, same_name) == ([], None)
        return
    external_id = found.user.profile.external_id
    assert found.user.profile.active is True
    assert external_id in ("", "ann", OID, OID.upper())
    assert found.linked_to in ("", OID) or external_id.lower() == OID
    assert found == (holders[0] if holders else same_name)
    assert len(holders) < 2


@pytest.mark.parametrize(
    ("holders", "same_name", "refusal"),
    [
        ([candidate(OID), candidate("", OID)], None, SIGN_IN_AMBIGUOUS),
        ([candidate(OID, active=None)], candidate(""), USER_INACTIVE),
        ([candidate("ann", OID, active=False)], None, USER_INACTIVE),
        ([candidate(OTHER, OID)], None, SIGN_IN_CONFLICT),
        ([candidate(OTHER.upper(), OID, active=False)], None, SIGN_IN_CONFLICT),
        ([], candidate("", active=False), USER_INACTIVE),
        ([], candidate(OTHER), SIGN_IN_CONFLICT),
        ([], candidate(OTHER, active=False), SIGN_IN_CONFLICT),
        ([], candidate("", OTHER), SIGN_IN_CONFLICT),
        ([], candidate("ann", "somebody"), SIGN_IN_CONFLICT),
    ],
)
def test_linking_rule_refuses_ambiguous_or_conflicting_users(holders, same_name, refusal):
    with raises_refusal(refusal):
        sessions.match_user(ANN, holders, same_name)


@pytest.mark.parametrize(
    ("holders", "same_name"),
    [
        ([candidate("ann", OID)], None),
        ([candidate(OID, OTHER)], None),
        ([], candidate("ann")),
        ([], candidate("ann", OID.upper())),
        ([], candidate(OID.upper(), OTHER)),
    ],
)
def test_linking_rule_matches_by_object_identifier_or_user_name(holders, same_name):
    assert sessions.match_user(ANN, holders, same_name) == (holders[0] if holders else same_name)


UNPROVEN = Identity(OID, "ann@gmail.com", email_is_proven=False)


@pytest.mark.parametrize(
    ("holders", "same_name"),
    [([candidate("", OID)], None), ([candidate(OID)], None), ([], candidate("ann"))],
)
def test_unproven_address_matches_people_whom_provisioning_created(holders, same_name):
    found = sessions.match_user(UNPROVEN, holders, same_name)
    assert found == (holders[0] if holders else same_name)


def test_unproven_address_alone_matches_and_creates_nobody():
    with raises_refusal(SIGN_IN_DOMAIN_UNPROVEN):
        sessions.match_user(UNPROVEN, [], candidate(""))
    with raises_refusal(SIGN_IN_DOMAIN_UNPROVEN):
        sessions.profile_to_create(UNPROVEN, create_missing=True, deleted=False)


@pytest.mark.parametrize(
    "text", ["", "ann", OID[:-1], OID + "0", OID.replace("-", ""), f"{{{OID}}}", OID + "\n"]
)
def test_only_a_uuid_in_the_form_of_entra_is_an_object_identifier(text):
    assert sessions.is_object_identifier(OID)
    assert not sessions.is_object_identifier(text)


@pytest.mark.parametrize("deleted", [False, True])
def test_unknown_user_is_created_only_if_enabled_and_not_deleted(deleted):
    with raises_refusal(SIGN_IN_UNKNOWN):
        sessions.profile_to_create(ANN, create_missing=False, deleted=deleted)
    with raises_refusal(USER_DELETED) if deleted else nullcontext():
        assert sessions.profile_to_create(ANN, create_missing=True, deleted=deleted) == ANN.profile


def test_nickname_does_not_identify_a_deleted_user():
    assert sessions.identifiers_of_deleted("ann@acme.test", "ann") == ("ann@acme.test",)
    assert sessions.identifiers_of_deleted("ann@acme.test", OID) == ("ann@acme.test", OID)


def test_new_administrator_keeps_other_roles():
    roles = (TypedValue(value="Learner"),)
    administrator = sessions.with_administrator(Profile("ann", roles=roles))
    assert administrator == Profile("ann", roles=(*roles, TypedValue(value="Administrator")))
