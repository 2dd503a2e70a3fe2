"""What the pages say: times, sentences, advice, checks, names of attributes."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.keys.v1.audit_pb2 import Actor, AuditEvent
from cloudacademy.users.v1.activity_pb2 import Activity, FieldChange, RefusedRequest
from cloudacademy.users.v1.schemas_pb2 import Extension
from cloudacademy.users.v1.schemas_pb2 import Value as ExtensionValue
from cloudacademy.users.v1.users_pb2 import EnterpriseUser, Manager, Name, TypedValue, User

from gateway.portal.models import times
from gateway.portal.models.audit_rows import audit_rows
from gateway.portal.models.log.advice import advice
from gateway.portal.models.log.checks import checks
from gateway.portal.models.log.rows import Change, attribute, log_row
from gateway.portal.models.log.sentences import ACTIONS, sentence
from gateway.portal.models.people_rows import Value, display_name_of, initials, values

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7 * 3600 + 12 * 60 + 59, "7 h 12 min"),
        (86_400, "1 day"),
        (86_400 * 3 + 3600 * 4, "3 days 4 h"),
        (-5, "0 s"),
    ],
)
def test_a_duration_is_told_in_two_units_and_never_rounded_up(seconds: int, text: str):
    assert times.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (43 * 60 + 59, "43 minutes ago"),
        (7200, "2 hours ago"),
        (86_400 * 2, "2 days ago"),
    ],
)
def test_a_time_is_told_by_how_long_ago_it_was(seconds: int, text: str):
    assert times.ago(NOW - timedelta(seconds=seconds), NOW) == text


def activity(action: str, name: str = "ann", **fields: object) -> Activity:
    given = {"resource_name": name, "resource_id": USER, "time": times.to_timestamp(NOW)} | fields
    return Activity(action=Activity.Action.Value(f"ACTION_{action}"), **given)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (activity("CREATE_USER"), "Ann Li was created"),
        (activity("DISABLE_USER"), "Ann Li was disabled"),
        (activity("RESTORE_USER"), "Ann Li was enabled again"),
        (activity("ADD_MEMBERS", member_count=1), "1 member was added to Ann Li"),
        (activity("REMOVE_MEMBERS", member_count=1200), "1,200 members were removed from Ann Li"),
        (activity("CREATE_USER", refused=True), "Ann Li could not be created"),
        (activity("ADD_MEMBERS", refused=True), "Ann Li could not take new members"),
    ],
)
def test_an_entry_is_a_sentence_by_the_name_that_people_know(entry: Activity, text: str):
    assert sentence(entry, "Ann Li").text == text


def test_an_entry_without_a_name_is_a_sentence_still():
    assert sentence(activity("DELETE_USER", "")).text == "Somebody was deleted"
    assert sentence(activity("UPDATE_USER", "")).text == "Somebody who is deleted now was updated"
    failed = activity("UPDATE_USER", "", refused=True)
    assert sentence(failed).text == "Somebody could not be updated"
    assert sentence(activity("UPDATE_GROUP", "")).text == "A group was updated"
    ended = activity("AUTHENTICATE", "", refusal=RefusedRequest(reason="KEY_EXPIRED"))
    assert sentence(ended).text == "A request came with an API key that has ended"


def test_every_action_can_be_filtered_by_once():
    listed = [action for _, actions in ACTIONS.values() for action in actions]
    assert sorted(listed) == sorted(Activity.Action.values())


def test_a_deleted_person_is_no_link():
    entry = activity("UPDATE_USER")
    assert log_row(entry, {}).link == ""
    assert log_row(entry, {USER: "Ann Li"}).link == f"/people/{USER}"


def test_changed_fields_have_the_names_of_entras_mappings():
    change = FieldChange(field="name.family_name", old_value="Li", new_value="Bauer")
    row = log_row(activity("UPDATE_USER", fields=[change]), {})
    assert row.changes == [Change("name.familyName", "Li", "Bauer")]
    names = ("user_name", "emails", "enterprise.cost_center", "enterprise.manager", "urn:a:b_c")
    assert [attribute(name) for name in names] == [
        "userName",
        "emails",
        "costCenter",
        "manager",
        "urn:a:b_c",
    ]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (RefusedRequest(status=409, reason="USER_NAME_TAKEN"), "same userName"),
        (RefusedRequest(status=409, error_type="uniqueness"), "same userName"),
        (RefusedRequest(status=404, reason="USER_NOT_FOUND"), "Restart provisioning"),
        (RefusedRequest(status=401, reason="KEY_EXPIRED"), "Secret Token"),
        (RefusedRequest(status=503, reason="DATABASE_UNAVAILABLE"), "our fault"),
        (RefusedRequest(status=400, error_type="invalidPath"), "Mappings"),
        (RefusedRequest(status=418), "Provision on demand"),
    ],
)
def test_each_refusal_comes_with_what_to_do(refusal: RefusedRequest, words: str):
    assert words in advice(refusal)


@pytest.mark.parametrize(
    ("refusal", "failed"),
    [
        (RefusedRequest(status=401, reason="KEY_REVOKED"), 0),
        (RefusedRequest(status=401, reason="INTEGRATION_INACTIVE"), 1),
        (RefusedRequest(status=400, error_type="invalidSyntax"), 2),
        (RefusedRequest(status=404), 3),
        (RefusedRequest(status=400, error_type="invalidValue"), 4),
        (RefusedRequest(status=409, reason="USER_NAME_TAKEN"), 5),
        (RefusedRequest(status=503), 6),
    ],
)
def test_checks_pass_up_to_the_one_that_failed(refusal: RefusedRequest, failed: int):
    outcomes = [each.outcome.value for each in checks(Activity(refused=True, refusal=refusal))]
    assert outcomes == ["passed"] * failed + ["failed"] + ["not reached"] * (6 - failed)


def test_all_checks_of_a_change_passed():
    assert {each.outcome.value for each in checks(Activity())} == {"passed"}


def test_the_audit_trail_is_told_in_sentences():
    events = [
        AuditEvent(
            actor=Actor(id=USER, display_name="ada", address="192.0.2.1"),
            action=AuditEvent.ACTION_KEY_GENERATED,
            key_id=KEY,
            create_time=times.to_timestamp(NOW),
        ),
        AuditEvent(actor=Actor(id="ops"), action=AuditEvent.ACTION_SSO_UPDATED, fields=["sso_url"]),
    ]
    told = [(row.who, row.did, row.address) for row in audit_rows(events)]
    assert told == [
        ("ada", "generated the API key …0b8e12", "192.0.2.1"),
        ("ops", "changed the set-up of single sign-on: Login URL", ""),
    ]


def test_a_person_is_called_by_the_first_name_that_there_is():
    assert display_name_of(User(user_name="u", display_name="D", name=Name(given_name="A"))) == "D"
    assert display_name_of(User(user_name="u", name=Name(given_name="A", family_name="L"))) == "A L"
    assert display_name_of(User(user_name="u")) == "u"
    assert [initials(each) for each in ("Ann Li", "ann.li@x", "李", "--")] == [
        "AL",
        "AL",
        "李",
        "?",
    ]


def test_attributes_are_listed_by_their_scim_names():
    user = User(
        id=USER,
        user_name="ann",
        active=False,
        name=Name(given_name="Ann"),
        emails=[TypedValue(value="a@x", type="work", primary=True), TypedValue(value="b@x")],
        enterprise=EnterpriseUser(department="R&D", manager=Manager(value=KEY)),
        extensions={
            "urn:x": Extension(
                values={
                    "badge": ExtensionValue(integer=7),
                    "desk": ExtensionValue(
                        parts=Extension(values={"free": ExtensionValue(boolean=False)})
                    ),
                }
            )
        },
    )
    assert values(user) == [
        Value("userName", "ann"),
        Value("active", "false"),
        Value("name.givenName", "Ann"),
        Value("emails", "a@x (work, primary)"),
        Value("emails", "b@x"),
        Value("department", "R&D"),
        Value("manager", KEY),
        Value("urn:x:badge", "7"),
        Value("urn:x:desk.free", "false"),
    ]
