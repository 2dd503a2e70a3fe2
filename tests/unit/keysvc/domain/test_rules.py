"""Authentication of keys and the rules for names, authors and actors."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.errors import InvalidField, Refusal
from keysvc.domain.audit import Actor, operator
from keysvc.domain.errors import INTEGRATION_INACTIVE, KEY_EXPIRED, KEY_REVOKED, KEY_UNKNOWN
from keysvc.domain.keys import GRACE_PERIOD, Key, NewKey, StoredKey, authenticate
from keysvc.domain.organizations import NewOrganization, Region
from tests.support.refusals import raises_refusal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DIGEST, OTHER = b"d" * 32, b"o" * 32
KEY = Key(UUID(int=1), UUID(int=2), NOW, "ann", "Ann Li", None, None, "", "", None, "")
ANN = Actor("ann", "Ann Li")
KEY_IDS = (KEY.organization_id, KEY.key_id)
VALID = StoredKey(KEY, DIGEST, integration_active=True)


def stored_key(active: bool = True, **changes: datetime) -> StoredKey:
    return StoredKey(replace(KEY, **changes), DIGEST, active)


def test_key_with_its_secret_is_authenticated():
    assert authenticate(VALID, DIGEST, NOW) == KEY


@pytest.mark.parametrize(
    ("stored", "digest", "refusal"),
    [
        (None, DIGEST, Refusal(KEY_UNKNOWN)),
        (None, bytes(32), Refusal(KEY_UNKNOWN)),
        (VALID, OTHER, Refusal(KEY_UNKNOWN)),
        (stored_key(active=False, revoke_time=NOW, expire_time=NOW), OTHER, Refusal(KEY_UNKNOWN)),
        (
            stored_key(active=False, revoke_time=NOW, expire_time=NOW),
            DIGEST,
            Refusal(KEY_REVOKED, *KEY_IDS, NOW),
        ),
        (stored_key(active=False, expire_time=NOW), DIGEST, Refusal(KEY_EXPIRED, *KEY_IDS, NOW)),
        (stored_key(active=False), DIGEST, Refusal(INTEGRATION_INACTIVE, *KEY_IDS)),
        (
            stored_key(active=False, expire_time=NOW + MICROSECOND),
            DIGEST,
            Refusal(INTEGRATION_INACTIVE, *KEY_IDS),
        ),
    ],
)
def test_authentication_refuses_in_the_documented_order(
    stored: StoredKey | None, digest: bytes, refusal: Refusal
):
    with raises_refusal(refusal.kind) as caught:
        authenticate(stored, digest, NOW)
    assert caught.value.detail == refusal.detail
    assert caught.value.metadata == refusal.metadata


def test_key_expires_at_exactly_its_expire_time():
    expiring = stored_key(expire_time=NOW)
    assert authenticate(expiring, DIGEST, NOW - MICROSECOND) == expiring.key
    with raises_refusal(KEY_EXPIRED):
        authenticate(expiring, DIGEST, NOW)


def test_use_is_recorded_once_a_minute():
    used = replace(KEY, last_used_time=NOW)
    minute = timedelta(minutes=1)
    assert [key.should_record_use(NOW) for key in (KEY, used)] == [True, False]
    assert [
        used.should_record_use(time) for time in (NOW + minute - MICROSECOND, NOW + minute)
    ] == [
        False,
        True,
    ]


def test_first_use_after_a_newer_key_is_recorded():
    replaced = replace(KEY, last_used_time=NOW, expire_time=NOW + MICROSECOND + GRACE_PERIOD)
    used_since = replace(replaced, last_used_time=NOW + MICROSECOND)
    later = NOW + 2 * MICROSECOND
    assert [key.should_record_use(later) for key in (replaced, used_since)] == [True, False]


def test_repr_of_keys_hides_digests():
    text = repr(VALID) + repr(NewKey(UUID(int=2), DIGEST, "ann", ANN))
    assert "digest" not in text
    assert "ddd" not in text


@pytest.mark.parametrize("name", ["A", "ÄÖÜ 集团", "x" * 200, " Acme ", "🦊" * 200])
def test_organization_name_has_1_to_200_characters(name: str):
    assert NewOrganization(None, name, Region.US).display_name == name


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x00b", "a\nb", "a\x1b[31m", "a\x7f", "a\x85b"])
def test_invalid_organization_name_is_refused(name: str):
    with pytest.raises(InvalidField) as caught:
        NewOrganization(None, name, Region.US)
    assert caught.value.metadata == {"field": "organization.display_name"}


@pytest.mark.parametrize("author", ["x" * 201, "a\nb"])
def test_invalid_author_is_refused(author: str):
    with pytest.raises(InvalidField) as caught:
        NewKey(UUID(int=2), DIGEST, author, ANN)
    assert caught.value.metadata == {"field": "created_by"}


@pytest.mark.parametrize(
    ("actor_id", "name", "field"),
    [
        ("x" * 201, "", "actor.id"),
        ("a\nb", "", "actor.id"),
        ("", "é" * 512 + "x", "actor.display_name"),
        ("", "a\x1bb", "actor.display_name"),
    ],
)
def test_invalid_actor_is_refused(actor_id: str, name: str, field: str):
    with pytest.raises(InvalidField) as caught:
        Actor(actor_id, name)
    assert caught.value.metadata == {"field": field}


def test_display_name_of_an_operator_has_a_prefix():
    names = [operator(name).display_name for name in ("", "operator", "ann")]
    assert names == ["operator", "operator", "operator ann"]
