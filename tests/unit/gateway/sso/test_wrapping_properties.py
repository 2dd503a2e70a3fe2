"""Property tests: no rearrangement of a signed response yields another identity."""

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

SIGNED = signed(VALID, ACME)
DOUBLY_SIGNED = sign(signed(VALID, ACME), ACME)
EVE = ann_claims(email=["eve@acme.test"], object_identifier=["eve"])
WRAPPERS = [
    f"{{{SAMLP}}}Extensions",
    f"{{{SAML}}}Advice",
    f"{{{SAML}}}AttributeValue",
    f"{{{DS}}}Object",
    f"{{{DS}}}KeyInfo",
    f"{{{SAMLP}}}StatusDetail",
]
NUMBERS = st.integers(0, 10_000)


def elements(root: Element) -> list[Element]:
    return list(root.iter("{*}*"))


def forged(root: Element, number: int) -> Element:
    """A forged assertion or response, or a changed signed assertion, with Eve's claims."""
    identifiers = [VALID.assertion_id, VALID.response_id, "_evil"]
    statement = VALID.with_changes(
        claims=EVE,
        assertion_id=identifiers[number % 3],
        response_id=identifiers[number // 3 % 3],
    )
    kind = number // 9 % 3
    if kind == 0:
        return assertion(statement)
    if kind == 1:
        return response(statement)
    signed = root.find(f".//{{{SAML}}}Assertion")
    if signed is None:  # an earlier step removed it from the tree
        return assertion(statement)
    changed = copy.deepcopy(signed)
    for value in changed.iter(f"{{{SAML}}}AttributeValue"):
        value.text = "eve@acme.test"
    return changed


def put(root: Element, element: Element, position: int, wrapper: int) -> None:
    parents = elements(root)
    parent = parents[position % len(parents)]
    if wrapper % 2:
        around = etree.Element(WRAPPERS[wrapper // 2 % len(WRAPPERS)])
        around.append(element)
        element = around
    parent.insert(position // 7 % (len(parent) + 1), element)


def move(root: Element, source: int, target: int) -> None:
    found = elements(root)
    moved, parent = found[source % len(found)], found[target % len(found)]
    if moved is not root and moved not in list(parent.iterancestors()) and moved is not parent:
        parent.insert(target // 7 % (len(parent) + 1), moved)


def check_identity(content: Element | bytes) -> None:
    try:
        found = verify_response(content)
    except SignInError:
        return
    assert (found.id, found.email) == (VALID.assertion_id, "ann@acme.test")


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=4))
def test_forged_or_moved_elements_do_not_change_the_identity(doubly_signed, steps):
    root = copy.deepcopy(DOUBLY_SIGNED if doubly_signed else SIGNED)
    for number, (element, position, wrapper, target) in enumerate(steps):
        if number % 2:
            move(root, position, target)
        else:
            put(root, forged(root, element), position, wrapper)
    check_identity(root)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_do_not_change_the_identity(data):
    text = bytearray(xml(SIGNED))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    check_identity(bytes(text))
