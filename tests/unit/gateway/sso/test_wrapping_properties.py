"""However a signed response is taken apart and put together, it vouches for nobody else."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.sso.refusals import SignInError
from tests.support.saml.idp import (
    DS,
    SAML,
    SAMLP,
    Element,
    ann_claims,
    assertion,
    response,
    sign,
    signed,
    xml,
)
from tests.support.saml.parties import ACME, VALID, verify_response

GOOD = signed(VALID, ACME)
BOTH = sign(signed(VALID, ACME), ACME)
EVE = ann_claims(email=["eve@acme.test"], object_identifier=["eve"])
WRAPPERS = [
    f"{{{SAMLP}}}Extensions",
    f"{{{SAML}}}Advice",
    f"{{{SAML}}}AttributeValue",
    f"{{{DS}}}Object",
    f"{{{DS}}}KeyInfo",
    f"{{{SAMLP}}}StatusDetail",
]
numbers = st.integers(0, 10_000)


def elements(root: Element) -> list[Element]:
    return list(root.iter("{*}*"))


def forged(root: Element, number: int) -> Element:
    """Something of Eve's under some id: an assertion, a response, or the signed thing changed."""
    identifiers = [VALID.assertion_id, VALID.response_id, "_evil"]
    said = VALID.with_changes(
        claims=EVE,
        assertion_id=identifiers[number % 3],
        response_id=identifiers[number // 3 % 3],
    )
    kind = number // 9 % 3
    if kind == 0:
        return assertion(said)
    if kind == 1:
        return response(said)
    signed = root.find(f".//{{{SAML}}}Assertion")
    if signed is None:  # it was put where it is lost
        return assertion(said)
    changed = copy.deepcopy(signed)
    for value in changed.iter(f"{{{SAML}}}AttributeValue"):
        value.text = "eve@acme.test"
    return changed


def put(root: Element, what: Element, place: int, wrapper: int) -> None:
    parents = elements(root)
    parent = parents[place % len(parents)]
    if wrapper % 2:
        around = etree.Element(WRAPPERS[wrapper // 2 % len(WRAPPERS)])
        around.append(what)
        what = around
    parent.insert(place // 7 % (len(parent) + 1), what)


def move(root: Element, source: int, target: int) -> None:
    found = elements(root)
    moved, parent = found[source % len(found)], found[target % len(found)]
    if moved is not root and moved not in list(parent.iterancestors()) and moved is not parent:
        parent.insert(target // 7 % (len(parent) + 1), moved)


def check(content: Element | bytes) -> None:
    try:
        found = verify_response(content)
    except SignInError:
        return
    assert (found.id, found.email) == (VALID.assertion_id, "ann@acme.test")


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=4))
def test_forged_parts_and_moved_ones_are_refused_or_change_nothing(both, steps):
    root = copy.deepcopy(BOTH if both else GOOD)
    for number, (what, place, wrapper, target) in enumerate(steps):
        if number % 2:
            move(root, place, target)
        else:
            put(root, forged(root, what), place, wrapper)
    check(root)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_characters_are_refused_or_change_nothing(data):
    text = bytearray(xml(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    check(bytes(text))
