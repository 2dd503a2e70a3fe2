"""Log entries as sentences."""

from datetime import UTC, datetime

import pytest
from cloudacademy.users.v1.activity_pb2 import Activity, RefusedRequest

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.log.sentences import ACTIONS, sentence

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


def activity(action: str, name: str = "ann", **fields: object) -> Activity:
    values = {"resource_name": name, "resource_id": USER, "time": to_timestamp(NOW)} | fields
    return Activity(action=Activity.Action.Value(f"ACTION_{action}"), **values)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (activity("CREATE_USER"), "Ann Li was created"),
        (activity("DISABLE_USER"), "Ann Li was disabled"),
        (activity("RESTORE_USER"), "Ann Li was enabled again"),
        (activity("ADD_MEMBERS", member_count=1), "1 member was added to Ann Li"),
        (activity("REMOVE_MEMBERS", member_count=1200), "1,200 members were removed from Ann Li"),
        (activity("CREATE_USER", refused=True), "Ann Li could not be created"),
        (activity("DISABLE_USER", refused=True), "Ann Li could not be disabled"),
        (activity("ADD_MEMBERS", refused=True), "Members could not be added to Ann Li"),
        (
            activity("AUTHENTICATE", refused=True, refusal=RefusedRequest(reason="KEY_EXPIRED")),
            "A request used an expired API key",
        ),
    ],
)
def test_sentence_describes_the_entry(entry: Activity, text: str):
    assert sentence(entry, "Ann Li").text == text


def test_sentence_without_a_name_uses_a_generic_subject():
    assert sentence(activity("DELETE_USER", "")).text == "A person was deleted"
    assert sentence(activity("UPDATE_USER", "")).text == "A deleted person was updated"
    failed = activity("UPDATE_USER", "", refused=True)
    assert sentence(failed).text == "A person could not be updated"
    assert sentence(activity("UPDATE_GROUP", "")).text == "A group was updated"
    expired = activity("AUTHENTICATE", "", refusal=RefusedRequest(reason="KEY_EXPIRED"))
    assert sentence(expired).text == "A request used an expired API key"


def test_every_action_belongs_to_one_filter():
    listed = [action for _, actions in ACTIONS.values() for action in actions]
    assert sorted(listed) == sorted(Activity.Action.values())
