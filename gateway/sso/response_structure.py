"""Structural checks of a SAML response, before any signature is verified.

A signature protects only the elements that it covers, and libraries disagree on which element a
reference means: signature wrapping attacks use that. A response with a single assertion, unique
ids, and signatures of one form in the standard places is unambiguous. Nothing is verified yet at
this point, so the response may come from anybody.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

from lxml import etree

from gateway.sso.refusals import SignInError

MAX_RESPONSE_CHARACTERS: Final = 256 * 1024
MAX_ELEMENTS: Final = 2_000
MAX_DEPTH: Final = 32
MAX_ATTRIBUTES: Final = 32
"""The maximum number of attributes of an element, and of namespaces in its scope."""

_SAMLP: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_INCLUSIVE_NAMESPACES: Final = f"{{{_EXCLUSIVE}}}InclusiveNamespaces"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"

_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_SIGNATURE_METHODS: Final = {
    f"{_MORE}{kind}-{digest}" for kind in ("rsa", "ecdsa") for digest in
    ("sha256", "sha384", "sha512")
}  # fmt: skip
_DIGEST_METHODS: Final = {
    "http://www.w3.org/2001/04/xmlenc#sha256",
    f"{_MORE}sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
}

# The only XML declarations that are accepted: a parser trusts the encoding in it.
_DECLARATION: Final = re.compile(
    rb"<\?xml\s+version\s*=\s*(?:\"1\.0\"|'1\.0')"
    rb"(?:\s+encoding\s*=\s*[\"'](?i:utf-8|us-ascii)[\"'])?"
    rb"(?:\s+standalone\s*=\s*(?:\"(?:yes|no)\"|'(?:yes|no)'))?\s*\?>"
)

Element = Any


def decode_response(saml_response: str) -> bytes:
    """Decode the SAMLResponse of a form. Raises SignInError (too_large, bad_base64)."""
    if len(saml_response) > MAX_RESPONSE_CHARACTERS:
        raise SignInError("too_large")
    try:
        return base64.b64decode("".join(saml_response.split()), validate=True)
    except (ValueError, binascii.Error):
        raise SignInError("bad_base64") from None


def check_structure(xml: bytes) -> None:
    """Refuse structures that attackers use and identity providers do not.

    Raises SignInError: bad_xml if this is not well-formed XML in UTF-8, encrypted, weak_algorithm,
    or bad_structure for everything else.
    """
    _check_text(xml)
    root = _parsed(xml)
    elements = list(_elements(root))
    _check_ids(elements)
    if any(element.tag.endswith(("}EncryptedAssertion", "}EncryptedID", "}EncryptedAttribute"))
           for element in elements):  # fmt: skip
        raise SignInError("encrypted")
    assertions = [element for element in elements if element.tag == f"{_SAML}Assertion"]
    if root.tag != f"{_SAMLP}Response":
        raise SignInError("bad_structure")
    if len(assertions) > 1 or any(each.getparent() is not root for each in assertions):
        raise SignInError("bad_structure")
    _check_signatures(elements, [root, *assertions])


def _check_text(xml: bytes) -> None:
    try:
        xml.decode()
    except UnicodeDecodeError:
        raise SignInError("bad_xml") from None
    text = xml.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in text or not text.startswith(b"<"):
        raise SignInError("bad_xml")
    if text.startswith(b"<?xml") and not _DECLARATION.match(text):
        raise SignInError("bad_xml")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise SignInError("bad_structure")


def _parsed(xml: bytes) -> Element:
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError:
        raise SignInError("bad_xml") from None
    tree = root.getroottree()
    if tree.docinfo.doctype or root.getprevious() is not None or root.getnext() is not None:
        raise SignInError("bad_structure")
    return root


def _elements(root: Element) -> Iterator[Element]:
    """All elements. Refuses comments and processing instructions, and trees over the limits."""
    depth = count = 0
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event == "end":
            depth -= 1
            continue
        if event != "start" or not isinstance(node.tag, str):  # a comment splits text
            raise SignInError("bad_structure")
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise SignInError("bad_structure")
        if len(node.attrib) > MAX_ATTRIBUTES or len(node.nsmap) > MAX_ATTRIBUTES:
            raise SignInError("bad_structure")
        yield node


def _check_ids(elements: list[Element]) -> None:
    ids = [
        value
        for element in elements
        for name, value in element.attrib.items()
        if _local_name(name) == "id"
    ]
    if len(ids) != len(set(ids)) or not all(ids):
        raise SignInError("bad_structure")


def _local_name(name: str) -> str:
    """An attribute's name without its namespace, in lower case.

    Refuses (bad_xml) a prefix that is not declared (Namespaces in XML 1.0, section 5). libxml2
    leaves it in the name, and another parser could read the name differently.
    """
    local = name.rpartition("}")[2].lower()
    if ":" in local:
        raise SignInError("bad_xml")
    return local


def _check_signatures(elements: list[Element], signed: list[Element]) -> None:
    signatures = [each for each in elements if each.tag == f"{_DS}Signature"]
    parents = [signature.getparent() for signature in signatures]
    if len(set(parents)) != len(parents) or not set(parents) <= set(signed):
        raise SignInError("bad_structure")
    for signature in signatures:
        _check_signature(signature)
    own = sum(1 for signature in signatures for _ in signature.iter(f"{_DS}*"))
    if own != sum(1 for element in elements if element.tag.startswith(_DS)):
        raise SignInError("bad_structure")


def _check_signature(signature: Element) -> None:
    """Refuse references and transforms that SAML does not use.

    Validation processes references before it checks the signature value (XML Signature section
    3.2): an external URI would be fetched, and a stylesheet executed.
    """
    info, value, *rest = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo?")
    if any(each.tag in (f"{_DS}RetrievalMethod", f"{_DS}Object") for each in signature.iter()):
        raise SignInError("bad_structure")
    del value, rest
    canonicalization, method, reference = _children(
        info, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    transforms, digest, _ = _children(reference, "Transforms", "DigestMethod", "DigestValue")
    names = [each.get("Algorithm") for each in transforms]
    if (
        reference.get("URI") != f"#{signature.getparent().get('ID')}"
        or canonicalization.get("Algorithm") != _EXCLUSIVE
        or names not in ([_ENVELOPED, _EXCLUSIVE], [_ENVELOPED])
        or any(each.tag != f"{_DS}Transform" for each in transforms)
        or any(each.tag != _INCLUSIVE_NAMESPACES for part in (canonicalization, *transforms)
               for each in part)
    ):  # fmt: skip
        raise SignInError("bad_structure")
    if (
        method.get("Algorithm") not in _SIGNATURE_METHODS
        or digest.get("Algorithm") not in _DIGEST_METHODS
    ):
        raise SignInError("weak_algorithm")


def _children(parent: Element, *names: str) -> list[Element]:
    """The children, if they have these names in this order. A `?` marks optional names."""
    children = list(parent)
    wanted = [f"{_DS}{name.rstrip('?')}" for name in names]
    tags = [child.tag for child in children]
    if tags not in (wanted, wanted[: sum(not name.endswith("?") for name in names)]):
        raise SignInError("bad_structure")
    return children
