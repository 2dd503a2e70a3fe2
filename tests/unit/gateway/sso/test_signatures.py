"""Signatures that are missing, foreign, or of something else: wrapping in all its forms."""

import copy
from collections.abc import Callable

import pytest
import xmlsec
from lxml import etree

from tests.support.saml.idp import (
    DS,
    NAMES,
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
from tests.support.saml.parties import ACME, MALLORY, VALID, refusal_reason, verify_response

EVE = VALID.with_changes(
    claims=ann_claims(email=["eve@acme.test"]), assertion_id="_evil", response_id="_evil_response"
)


def assertion_of(root: Element) -> Element:
    return root.find("saml:Assertion", NAMES)


def signature_of(element: Element) -> Element:
    return element.find("ds:Signature", NAMES)


def with_object(signature: Element, content: Element) -> None:
    etree.SubElement(signature, f"{{{DS}}}Object").append(content)


def evil_assertion() -> Element:
    return assertion(EVE)


def xsw1() -> Element:
    """A forged response around the signature, which has the signed response in an Object."""
    original = sign(response(VALID), ACME)
    forged = response(EVE)
    signature = signature_of(original)
    original.remove(signature)
    forged.insert(1, signature)
    with_object(signature, original)
    return forged


def xsw2() -> Element:
    """The signed response beside its signature, both in a forged one."""
    original = sign(response(VALID), ACME)
    forged = response(EVE)
    signature = signature_of(original)
    original.remove(signature)
    forged.insert(1, signature)
    forged.insert(1, original)
    return forged


def xsw3() -> Element:
    """A forged assertion before the signed one."""
    root = signed(VALID, ACME)
    root.insert(root.index(assertion_of(root)), evil_assertion())
    return root


def xsw3_behind() -> Element:
    """A forged assertion behind the signed one."""
    root = signed(VALID, ACME)
    root.append(evil_assertion())
    return root


def xsw4() -> Element:
    """The signed assertion inside a forged one."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), evil_assertion()
    root.replace(original, forged)
    forged.append(original)
    return root


def xsw5() -> Element:
    """A forged assertion with the signature, the original bare at the end."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), evil_assertion()
    signature = signature_of(original)
    root.replace(original, forged)
    original.remove(signature)
    forged.insert(1, signature)
    root.append(original)
    return root


def xsw6() -> Element:
    """A forged assertion with the signature, the original inside of it."""
    root = xsw5()
    original = root.findall("saml:Assertion", NAMES)[1]
    signature_of(assertion_of(root)).append(original)
    return root


def xsw7() -> Element:
    """A forged assertion in Extensions, which take anything."""
    root = signed(VALID, ACME)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(assertion(EVE.with_changes(assertion_id=VALID.assertion_id)))
    root.insert(1, extensions)
    return root


def xsw8() -> Element:
    """A forged assertion with the signature, the original in its Object."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), evil_assertion()
    signature = signature_of(original)
    root.replace(original, forged)
    original.remove(signature)
    forged.insert(1, signature)
    with_object(signature, original)
    return root


def same_id() -> Element:
    """A forged assertion under the id of the signed one, which is hidden in Extensions."""
    root = signed(VALID, ACME)
    original = assertion_of(root)
    forged = assertion(EVE.with_changes(assertion_id=VALID.assertion_id))
    root.replace(original, forged)
    forged.insert(1, copy.deepcopy(signature_of(original)))
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(original)
    root.insert(1, extensions)
    return root


def advice() -> Element:
    """The signed assertion as advice of a forged one."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), evil_assertion()
    root.replace(original, forged)
    etree.SubElement(forged, f"{{{SAML}}}Advice").append(original)
    return root


def response_in_response() -> Element:
    """A signed response inside a forged one."""
    forged = response(EVE)
    forged.append(sign(signed(VALID, ACME), ACME))
    return forged


def not_a_response() -> Element:
    """An assertion alone."""
    return sign(assertion(VALID), ACME)


@pytest.mark.parametrize(
    "attack",
    [
        xsw1,
        xsw2,
        xsw3,
        xsw3_behind,
        xsw4,
        xsw5,
        xsw6,
        xsw7,
        xsw8,
        same_id,
        advice,
        response_in_response,
        not_a_response,
    ],
)
def test_a_signature_vouches_for_nothing_that_is_wrapped_around_it(attack: Callable[[], Element]):
    assert refusal_reason(attack()) == "bad_structure"


def test_an_assertion_without_a_signature_is_refused():
    assert refusal_reason(response(VALID)) == "not_signed"


def test_a_signature_of_the_response_alone_is_not_enough():
    assert refusal_reason(sign(response(VALID), ACME)) == "not_signed"


def test_another_key_is_refused_with_any_certificate_beside_it():
    assert refusal_reason(signed(VALID, MALLORY)) == "bad_signature"
    assert (
        refusal_reason(signed(VALID, MALLORY, certificate=MALLORY.certificate)) == "bad_signature"
    )


def test_a_good_assertion_in_a_response_that_another_key_signed_is_refused():
    assert refusal_reason(sign(signed(VALID, ACME), MALLORY)) == "bad_signature"


def test_what_is_changed_after_it_was_signed_is_refused():
    text = xml(signed(VALID, ACME)).replace(b">ann@acme.test<", b">eve@acme.test<")
    assert refusal_reason(text) == "bad_signature"


def test_a_changed_digest_does_not_help():
    root = signed(VALID, ACME)
    root.find(".//ds:DigestValue", NAMES).text = "AAAA"
    assert refusal_reason(root) == "bad_signature"


@pytest.mark.parametrize("where", [".//{*}NameID", ".//{*}AttributeValue", ".//{*}Issuer"])
@pytest.mark.parametrize("node", [etree.Comment("x"), etree.ProcessingInstruction("x")])
def test_text_that_a_comment_splits_is_refused(where, node):
    root = signed(VALID, ACME)
    element = root.find(where)
    text, element.text = element.text, element.text[:5]
    node = copy.deepcopy(node)
    element.insert(0, node)
    node.tail = text[5:]
    assert refusal_reason(root) == "bad_structure"


def test_a_name_inside_a_claim_is_refused():
    root = response(VALID)
    value = root.findall(".//saml:AttributeValue", NAMES)[-1]
    etree.SubElement(value, f"{{{SAML}}}NameID").text = "eve@acme.test"
    sign(assertion_of(root), ACME)
    assert refusal_reason(root) == "bad_claim"


@pytest.mark.parametrize(
    "options",
    [
        {"method": xmlsec.Transform.RSA_SHA1},
        {"digest": xmlsec.Transform.SHA1},
    ],
)
def test_weak_algorithms_are_refused(options):
    root = signed(VALID, ACME, **options)
    assert refusal_reason(root) == "weak_algorithm"


def test_a_key_for_hashing_is_not_taken_for_one_that_signs():
    root = signed(VALID, ACME)
    method = root.find(".//ds:SignatureMethod", NAMES)
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    assert refusal_reason(root) == "weak_algorithm"


@pytest.mark.parametrize("uri", ["", "#other", "http://127.0.0.1:9/", "file:///etc/passwd", None])
def test_a_reference_to_anything_else_is_not_followed(uri):
    root = signed(VALID, ACME)
    reference = root.find(".//ds:Reference", NAMES)
    if uri is None:
        del reference.attrib["URI"]
    else:
        reference.set("URI", uri)
    assert refusal_reason(root) == "bad_structure"


@pytest.mark.parametrize(
    "algorithm",
    [
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/2002/06/xmldsig-filter2",
        "http://www.w3.org/2000/09/xmldsig#base64",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    ],
)
def test_transforms_that_could_run_or_hide_something_are_refused(algorithm):
    root = signed(VALID, ACME)
    root.findall(".//ds:Transform", NAMES)[1].set("Algorithm", algorithm)
    assert refusal_reason(root) == "bad_structure"


def test_two_references_are_refused():
    root = signed(VALID, ACME)
    reference = root.find(".//ds:Reference", NAMES)
    reference.addnext(copy.deepcopy(reference))
    assert refusal_reason(root) == "bad_structure"


def test_two_signatures_of_one_element_are_refused():
    root = signed(VALID, ACME)
    signature = signature_of(assertion_of(root))
    signature.addnext(copy.deepcopy(signature))
    assert refusal_reason(root) == "bad_structure"


def test_a_key_that_is_to_be_fetched_is_refused():
    root = signed(VALID, ACME)
    info = root.find(".//ds:KeyInfo", NAMES)
    etree.SubElement(info, f"{{{DS}}}RetrievalMethod", URI="http://127.0.0.1:9/")
    assert refusal_reason(root) == "bad_structure"


def test_whitespace_that_was_signed_changes_nothing():
    assert verify_response(
        signed(VALID.with_changes(claims=ann_claims(email=[" ann@acme.test\n"])), ACME)
    ).email == ("ann@acme.test")
