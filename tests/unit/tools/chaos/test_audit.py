"""The checks of `make chaos`: each kind of violation is reported."""

from collections import Counter
from typing import Any

import pytest

from tools.chaos.audit import Audit, compare
from tools.chaos.counts import NO_RESPONSE, FaultCounts
from tools.chaos.faults import Fault
from tools.chaos.ledger import Account, Existence, Ledger, Team
from tools.chaos.run import Outcome
from tools.entra.client import RequestRecord
from tools.entra.groups import post_body as group_post_body
from tools.entra.mapping import post_body


@pytest.fixture
def ledger() -> Ledger:
    """Ann is in a group and Bob was deleted; all of it is acknowledged."""
    result = Ledger()
    ann, bob, team = result.new_account(), result.new_account(), result.new_team()
    ann.user_id, ann.existence, ann.was_sent = "ann", Existence.EXISTS, True
    bob.user_id, bob.existence, bob.was_sent = "bob", Existence.DELETED, True
    team.group_id, team.existence, team.was_sent = "team", Existence.EXISTS, True
    team.members = {"ann": {True}, "bob": {True, False}}
    return result


def user(account: Account, **values: Any) -> dict[str, Any]:
    return {**post_body(account.person), "id": account.user_id, **values}


def group(team: Team, *members: str) -> dict[str, Any]:
    return {
        **group_post_body(team.group),
        "id": team.group_id,
        "members": [{"value": member} for member in members],
    }


def test_audit_of_acknowledged_state_finds_nothing(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    assert compare(ledger, [user(ann)], [group(team, "ann")]) == Audit()


def test_audit_permits_unacknowledged_resources_at_most_once(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    eve, other_team = ledger.new_account(), ledger.new_team()
    eve.was_sent = other_team.was_sent = True
    users, groups = [user(ann)], [group(team, "ann")]
    eve_user, other_group = user(eve, id="eve"), group(other_team)

    assert compare(ledger, users, groups) == Audit()
    assert compare(ledger, [*users, eve_user], [*groups, other_group]) == Audit()
    found = compare(ledger, [*users, eve_user, eve_user], [*groups, other_group, other_group])
    assert found.duplicated == {
        "people": 1,
        "groups": 1,
    }


def test_audit_counts_lost_resources_and_changes(ledger: Ledger):
    (ann, bob), (team,) = ledger.accounts, ledger.teams
    ann.values["active"] = {False}

    assert compare(ledger, [], []).lost == {"a person": 1, "a group": 1}
    assert compare(ledger, [user(ann), user(bob)], [group(team, "bob")]).lost == {
        "active is not what was acknowledged last": 1,
        "a deletion": 1,
        "a membership": 1,
        "a deletion, as a member": 1,
    }


def test_audit_counts_resources_that_were_never_sent(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    unknown_user = {**user(ann, id="eve"), "userName": "eve@corp.test"}
    unknown_group = {**group(team), "displayName": "Strangers"}
    ledger.new_account()

    found = compare(
        ledger, [user(ann), unknown_user], [group(team, "ann", "eve", "ann"), unknown_group]
    )

    assert found.wrong == {
        "people that were never sent": 1,
        "groups that were never sent": 1,
        "members that were never sent": 1,
    }
    assert found.duplicated == {"members": 1}


def test_account_reports_another_id_and_unsent_value(ledger: Ledger):
    ann = ledger.accounts[0]
    assert list(ann.faults(user(ann, id="eve"))) == ["the response has another person's data"]
    assert list(ann.faults(user(ann, externalId="x"))) == ["externalId is not what was sent"]


def outcome(fault: Fault, *, recovery: float = 0.0, **retryable_errors: int) -> Outcome:
    counts = FaultCounts(
        retryable_errors=Counter(
            {kind.replace("_", " "): count for kind, count in retryable_errors.items()}
        )
    )
    return Outcome(fault, True, counts, Audit(), recovery)


def test_outcome_reports_errors_that_fault_does_not_permit():
    assert outcome(Fault("any", None), **{"503": 7}).violations == []
    assert outcome(Fault("any", None, must_not_fail=True), **{"503": 7}).violations == [
        "failed: 7 requests; none is permitted"
    ]
    assert outcome(Fault("any", None), no_response=1).violations == [
        "no response: 1 requests, without a killed gateway"
    ]
    assert outcome(Fault("any", None, may_drop_requests=True), no_response=1).violations == []


def test_outcome_reports_slow_recovery():
    fault = Fault("any", None, recovery=3.0)
    assert outcome(fault, recovery=3.0).violations == []
    assert outcome(fault, recovery=3.1).violations == ["recovery: 3.1 s; limit: 3 s"]


def test_fault_counts_distinguish_slow_failed_and_wrong_responses():
    counts = FaultCounts()
    counts.observe(RequestRecord("GET", "/Users", 200, 0.1))
    assert counts == FaultCounts(sent=1)
    counts.observe(RequestRecord("GET", "/Users", 503, 0.1, "2"))
    counts.observe(RequestRecord("GET", "/Users", 0, 0.1))
    counts.observe(RequestRecord("GET", "/Users", 504, 0.1))
    counts.observe(RequestRecord("GET", "/Users", 200, 5.1))
    assert counts.retryable_errors == {"503": 1, NO_RESPONSE: 1, "504": 1}
    assert counts.wrong == {"504 without Retry-After": 1}
    assert counts.slow == 1
    assert counts.last_failure > 0
