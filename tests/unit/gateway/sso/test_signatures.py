"""Missing, foreign and misplaced signatures, including signature wrapping (XSW) attacks."""

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


def forged_assertion() -> Element:
    return assertion(EVE)


def move_signature(original: Element, forged: Element) -> Element:
    """Move the signature of a signed element to a forged one; returns the signature."""
    signature = signature_of(original)
    original.remove(signature)
    forged.insert(1, signature)
    return signature


def with_forged_assertion() -> tuple[Element, Element, Element]:
    """A response whose assertion is forged and has the original's signature.

    Returns the response, the original assertion, which is in no document, and the signature.
    """
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), forged_assertion()
    root.replace(original, forged)
    return root, original, move_signature(original, forged)


def xsw1() -> Element:
    """A forged response with the signature, whose Object contains the signed response."""
    original, forged = sign(response(VALID), ACME), response(EVE)
    with_object(move_signature(original, forged), original)
    return forged


def xsw2() -> Element:
    """A forged response with the signature and, as a sibling, the signed response."""
    original, forged = sign(response(VALID), ACME), response(EVE)
    move_signature(original, forged)
    forged.insert(1, original)
    return forged


def xsw3() -> Element:
    """A forged assertion before the signed one."""
    root = signed(VALID, ACME)
    root.insert(root.index(assertion_of(root)), forged_assertion())
    return root


def xsw3_after() -> Element:
    """A forged assertion after the signed one."""
    root = signed(VALID, ACME)
    root.append(forged_assertion())
    return root


def xsw4() -> Element:
    """The signed assertion inside a forged one."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), forged_assertion()
    root.replace(original, forged)
    forged.append(original)
    return root


def xsw5() -> Element:
    """A forged assertion with the signature; the original without one at the end."""
    root, original, _ = with_forged_assertion()
    root.append(original)
    return root


def xsw6() -> Element:
    """A forged assertion with the signature, which contains the original."""
    root = xsw5()
    original = root.findall("saml:Assertion", NAMES)[1]
    signature_of(assertion_of(root)).append(original)
    return root


def xsw7() -> Element:
    """A forged assertion in Extensions, where the schema allows any content."""
    root = signed(VALID, ACME)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(assertion(EVE.with_changes(assertion_id=VALID.assertion_id)))
    root.insert(1, extensions)
    return root


def xsw8() -> Element:
    """A forged assertion with the signature, whose Object contains the original."""
    root, original, signature = with_forged_assertion()
    with_object(signature, original)
    return root


def same_id() -> Element:
    """A forged assertion with the id of the signed one, which is moved to Extensions."""
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
    """The signed assertion in the Advice element of a forged one."""
    root = signed(VALID, ACME)
    original, forged = assertion_of(root), forged_assertion()
    root.replace(original, forged)
    etree.SubElement(forged, f"{{{SAML}}}Advice").append(original)
    return root


def response_in_response() -> Element:
    """A signed response inside a forged one."""
    forged = response(EVE)
    forged.append(sign(signed(VALID, ACME), ACME))
    return forged


def not_a_response() -> Element:
    """A signed assertion without a response."""
    return sign(assertion(VALID), ACME)


@pytest.mark.parametrize(
    "attack",
    [
        xsw1,
        xsw2,
        xsw3,
        xsw3_after,
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
def test_signature_wrapping_is_refused(attack: Callable[[], Element]):
    assert refusal_reason(attack()) == "bad_structure"


def test_assertion_without_a_signature_is_refused():
    assert refusal_reason(response(VALID)) == "not_signed"


def test_signature_of_the_response_alone_is_refused():
    assert refusal_reason(sign(response(VALID), ACME)) == "not_signed"


def test_signature_of_another_key_is_refused_with_any_certificate():
    assert refusal_reason(signed(VALID, MALLORY)) == "bad_signature"
    assert (
        refusal_reason(signed(VALID, MALLORY, certificate=MALLORY.certificate)) == "bad_signature"
    )


def test_response_signed_with_another_key_is_refused():
    assert refusal_reason(sign(signed(VALID, ACME), MALLORY)) == "bad_signature"


def test_change_after_signing_is_refused():
    text = xml(signed(VALID, ACME)).replace(b">ann@acme.test<", b">eve@acme.test<")
    assert refusal_reason(text) == "bad_signature"


def test_changed_digest_is_refused():
    root = signed(VALID, ACME)
    root.find(".//ds:DigestValue", NAMES).text = "AAAA"
    assert refusal_reason(root) == "bad_signature"


@pytest.mark.parametrize("where", [".//{*}NameID", ".//{*}AttributeValue", ".//{*}Issuer"])
@pytest.mark.parametrize("node", [etree.Comment("x"), etree.ProcessingInstruction("x")])
def test_text_split_by_a_comment_is_refused(where, node):
    root = signed(VALID, ACME)
    element = root.find(where)
    text, element.text = element.text, element.text[:5]
    node = copy.deepcopy(node)
    element.insert(0, node)
    node.tail = text[5:]
    assert refusal_reason(root) == "bad_structure"


def test_element_inside_a_claim_is_refused():
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


def test_hmac_signature_method_is_refused():
    root = signed(VALID, ACME)
    method = root.find(".//ds:SignatureMethod", NAMES)
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    assert refusal_reason(root) == "weak_algorithm"


@pytest.mark.parametrize("uri", ["", "#other", "http://127.0.0.1:9/", "file:///etc/passwd", None])
def test_reference_to_anything_but_the_parent_is_refused(uri):
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
def test_transforms_other_than_saml_requires_are_refused(algorithm):
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


def test_retrieval_method_of_a_key_is_refused():
    root = signed(VALID, ACME)
    info = root.find(".//ds:KeyInfo", NAMES)
    etree.SubElement(info, f"{{{DS}}}RetrievalMethod", URI="http://127.0.0.1:9/")
    assert refusal_reason(root) == "bad_structure"


def test_signed_whitespace_around_a_claim_is_stripped():
    assert verify_response(
        signed(VALID.with_changes(claims=ann_claims(email=[" ann@acme.test\n"])), ACME)
    ).email == ("ann@acme.test")
