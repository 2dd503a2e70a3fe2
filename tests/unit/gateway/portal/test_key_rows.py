"""API keys as rows: state, remaining time, and use of an old key."""

from datetime import timedelta

import pytest
from cloudacademy.keys.v1.keys_pb2 import Key

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.key_rows import KeyState, key_name, key_rows
from tests.support.portal_keys import NOW, before, key, rows


@pytest.mark.parametrize(
    ("old_used", "new_used", "in_use"),
    [
        ({"minutes": 20}, None, True),
        ({"minutes": 90}, None, False),  # before the newer key was created
        ({"minutes": 20}, {"minutes": 5}, False),  # Entra already uses the newer key
        ({"minutes": 5}, {"minutes": 20}, True),
        (None, None, False),
    ],
)
def test_old_key_is_in_use_if_used_after_the_newest_was_created(
    old_used: dict | None, new_used: dict | None, in_use: bool
):
    new = Key(id="k2", create_time=before(hours=1))
    old = Key(
        id="k1", create_time=before(days=1), expire_time=to_timestamp(NOW + timedelta(hours=7))
    )
    for each, used in ((new, new_used), (old, old_used)):
        if used is not None:
            each.last_used_time.CopyFrom(before(**used))
    assert [row.is_in_use for row in key_rows([new, old], {}, NOW)] == [False, in_use]


def test_key_older_than_a_revoked_one_is_not_an_old_key_in_use():
    new = Key(id="k2", create_time=before(hours=1), revoke_time=before(minutes=30))
    old = Key(id="k1", create_time=before(days=1), last_used_time=before(minutes=5))
    assert [row.is_in_use for row in key_rows([new, old], {}, NOW)] == [False, False]


def test_key_rows_show_state_and_remaining_time():
    revoked = key(4)
    revoked.revoke_time.CopyFrom(to_timestamp(NOW))
    expiring, expired = key(2, expires=timedelta(hours=7, minutes=12)), key(3, expires=timedelta())
    shown = rows(key(1), expiring, expired, revoked)
    assert [(row.state, row.state_text) for row in shown] == [
        (KeyState.ACTIVE, "Active"),
        (KeyState.EXPIRING, "Expires in 7 h 12 min"),
        (KeyState.EXPIRED, "Expired"),
        (KeyState.REVOKED, "Revoked"),
    ]
    assert [row.works for row in shown] == [True, True, False, False]


def test_key_name_is_the_end_of_the_id():
    assert key_name("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12") == "…0b8e12"
