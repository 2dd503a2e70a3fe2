"""What `make chaos` would complain of: each complaint is shown to come."""

from collections import Counter
from typing import Any

import pytest

from tools.chaos.audit import Audit, compare
from tools.chaos.faults import Fault
from tools.chaos.ledger import Account, Ledger, Life, Team
from tools.chaos.run import Outcome
from tools.chaos.tally import NO_ANSWER, Tally
from tools.entra.client import Exchange
from tools.entra.groups import creation as group_creation
from tools.entra.mapping import creation


@pytest.fixture
def ledger() -> Ledger:
    """Ann, who is in a group, and Bob, who was deleted; all of it acknowledged."""
    result = Ledger()
    ann, bob, team = result.new_account(), result.new_account(), result.new_team()
    ann.user_id, ann.life, ann.was_sent = "ann", Life.THERE, True
    bob.user_id, bob.life, bob.was_sent = "bob", Life.GONE, True
    team.group_id, team.life, team.was_sent = "team", Life.THERE, True
    team.members = {"ann": {True}, "bob": {True, False}}
    return result


def user(account: Account, **values: Any) -> dict[str, Any]:
    return {**creation(account.person), "id": account.user_id, **values}


def group(team: Team, *members: str) -> dict[str, Any]:
    return {
        **group_creation(team.group),
        "id": team.group_id,
        "members": [{"value": each} for each in members],
    }


def test_what_is_as_it_was_acknowledged_is_not_complained_of(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    assert compare(ledger, [user(ann)], [group(team, "ann")]) == Audit()


def test_what_nobody_acknowledged_may_be_there_or_not_but_once(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    eve, other = ledger.new_account(), ledger.new_team()
    eve.was_sent = other.was_sent = True
    users, groups = [user(ann)], [group(team, "ann")]
    made, told = user(eve, id="eve"), group(other)

    assert compare(ledger, users, groups) == Audit()
    assert compare(ledger, [*users, made], [*groups, told]) == Audit()
    assert compare(ledger, [*users, made, made], [*groups, told, told]).twice == {
        "people": 1,
        "groups": 1,
    }


def test_whatever_is_lost_is_counted(ledger: Ledger):
    (ann, bob), (team,) = ledger.accounts, ledger.teams
    ann.values["active"] = {False}

    assert compare(ledger, [], []).lost == {"a person": 1, "a group": 1}
    assert compare(ledger, [user(ann), user(bob)], [group(team, "bob")]).lost == {
        "active is not what was acknowledged last": 1,
        "a deletion": 1,
        "a membership": 1,
        "a deletion, as a member": 1,
    }


def test_whatever_nobody_sent_is_counted(ledger: Ledger):
    (ann, _), (team,) = ledger.accounts, ledger.teams
    stranger = {**user(ann, id="eve"), "userName": "eve@corp.test"}
    strange_group = {**group(team), "displayName": "Strangers"}
    ledger.new_account()

    found = compare(
        ledger, [user(ann), stranger], [group(team, "ann", "eve", "ann"), strange_group]
    )

    assert found.wrong == {
        "people whom nobody sent": 1,
        "groups that nobody sent": 1,
        "members whom nobody sent": 1,
    }
    assert found.twice == {"members": 1}


def test_somebody_else_under_the_name_and_a_value_that_was_never_sent_are_seen(ledger: Ledger):
    ann = ledger.accounts[0]
    assert list(ann.faults(user(ann, id="eve"))) == ["another's data was answered"]
    assert list(ann.faults(user(ann, externalId="x"))) == ["externalId is not what was sent"]


def outcome(fault: Fault, *, recovery: float = 0.0, **busy: int) -> Outcome:
    tally = Tally(busy=Counter({kind.replace("_", " "): count for kind, count in busy.items()}))
    return Outcome(fault, True, tally, Audit(), recovery)


def test_an_error_is_complained_of_where_none_may_be():
    assert outcome(Fault("any", None), **{"503": 7}).complaints == []
    assert outcome(Fault("any", None, harmless=True), **{"503": 7}).complaints == [
        "failed: 7 requests, of which none may"
    ]
    assert outcome(Fault("any", None), no_answer=1).complaints == [
        "silent: 1 requests got no answer"
    ]
    assert outcome(Fault("any", None, silent=True), no_answer=1).complaints == []


def test_a_service_that_takes_too_long_to_come_back_is_complained_of():
    fault = Fault("any", None, recovery=3.0)
    assert outcome(fault, recovery=3.0).complaints == []
    assert outcome(fault, recovery=3.1).complaints == ["recovery: 3.1 s, not 3"]


def test_an_error_or_a_slow_answer_is_trouble_and_one_without_retry_after_is_wrong():
    tally = Tally()
    tally.observe(Exchange("GET", "/Users", 200, 0.1))
    assert tally == Tally(sent=1)
    tally.observe(Exchange("GET", "/Users", 503, 0.1, "2"))
    tally.observe(Exchange("GET", "/Users", 0, 0.1))
    tally.observe(Exchange("GET", "/Users", 504, 0.1))
    tally.observe(Exchange("GET", "/Users", 200, 5.1))
    assert tally.busy == {"503": 1, NO_ANSWER: 1, "504": 1}
    assert tally.wrong == {"504 without Retry-After": 1}
    assert tally.slow == 1
    assert tally.last_trouble > 0
