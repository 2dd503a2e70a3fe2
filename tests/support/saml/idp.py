"""A simulated identity provider, which creates valid and invalid SAML responses."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import xmlsec
from lxml import etree

from deploy.local.setup.key_pair import generate_key_pair

SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
DS = "http://www.w3.org/2000/09/xmldsig#"
NAMES = {"samlp": SAMLP, "saml": SAML, "ds": DS}
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
AUDIENCE = "urn:federation:cloudacademy"
OBJECT_IDENTIFIER = "http://schemas.microsoft.com/identity/claims/objectidentifier"
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
GIVEN_NAME, SURNAME = f"{CLAIMS}/givenname", f"{CLAIMS}/surname"
EMAIL_ADDRESS = f"{CLAIMS}/emailaddress"

Element = Any


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate, both in PEM."""

    key: str
    certificate: str


@cache
def key_pair(name: str) -> KeyPair:
    """The key pair for a name. Calls with the same name return the same pair."""
    return KeyPair(*generate_key_pair(name, bits=2048))


def ann_claims(**changes: Sequence[str] | None) -> dict[str, Sequence[str]]:
    """The claims about Ann, with changes. None omits a claim."""
    claims: dict[str, Sequence[str] | None] = {
        "object_identifier": ["5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11"],
        "given_name": ["Ann"],
        "surname": ["Li"],
        "email": ["ann@acme.test"],
        **changes,
    }
    names = {
        "object_identifier": OBJECT_IDENTIFIER,
        "given_name": GIVEN_NAME,
        "surname": SURNAME,
        "email": EMAIL_ADDRESS,
    }
    return {names[claim]: values for claim, values in claims.items() if values is not None}


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of a response. Times are in seconds from now."""

    acs_url: str
    request_id: str | None
    issuer: str
    destination: str | None = None
    recipient: str | None = None
    audience: str | None = AUDIENCE
    status: str = SUCCESS
    not_before: float = -300
    not_on_or_after: float = 3600
    confirmation_end: float = 3600
    confirmation_request_id: str | None = None
    claims: Mapping[str, Sequence[str]] = field(default_factory=ann_claims)
    name_id: str = "ann@acme.test"
    assertion_id: str = field(default_factory=lambda: f"_{uuid4()}")
    response_id: str = field(default_factory=lambda: f"_{uuid4()}")

    def with_changes(self, **changes: Any) -> "Statement":
        """A copy with other values."""
        return replace(self, **changes)


def response(statement: Statement) -> Element:
    """An unsigned response."""
    root = etree.Element(f"{{{SAMLP}}}Response", nsmap={"samlp": SAMLP})
    _set(root, ID=statement.response_id, Version="2.0", IssueInstant=_time(0))
    _set(
        root,
        Destination=statement.acs_url if statement.destination is None else statement.destination,
    )
    _set(root, InResponseTo=statement.request_id)
    _add(root, SAML, "Issuer", statement.issuer)
    status = _add(root, SAMLP, "Status")
    _add(status, SAMLP, "StatusCode", Value=statement.status)
    if statement.status == SUCCESS:
        root.append(assertion(statement))
    return root


def assertion(statement: Statement) -> Element:
    """An unsigned assertion."""
    root = etree.Element(f"{{{SAML}}}Assertion", nsmap={None: SAML})
    _set(root, ID=statement.assertion_id, Version="2.0", IssueInstant=_time(0))
    _add(root, SAML, "Issuer", statement.issuer)
    subject = _add(root, SAML, "Subject")
    _add(subject, SAML, "NameID", statement.name_id)
    confirmation = _add(subject, SAML, "SubjectConfirmation", Method=BEARER)
    _add(
        confirmation,
        SAML,
        "SubjectConfirmationData",
        InResponseTo=statement.confirmation_request_id or statement.request_id,
        NotOnOrAfter=_time(statement.confirmation_end),
        Recipient=statement.acs_url if statement.recipient is None else statement.recipient,
    )
    conditions = _add(
        root,
        SAML,
        "Conditions",
        NotBefore=_time(statement.not_before),
        NotOnOrAfter=_time(statement.not_on_or_after),
    )
    if statement.audience is not None:
        _add(_add(conditions, SAML, "AudienceRestriction"), SAML, "Audience", statement.audience)
    authn = _add(root, SAML, "AuthnStatement", AuthnInstant=_time(0))
    context = _add(authn, SAML, "AuthnContext")
    _add(context, SAML, "AuthnContextClassRef", "urn:oasis:names:tc:SAML:2.0:ac:classes:Password")
    attributes = _add(root, SAML, "AttributeStatement")
    for name, values in statement.claims.items():
        attribute = _add(attributes, SAML, "Attribute", Name=name)
        for value in values:
            _add(attribute, SAML, "AttributeValue", value)
    return root


def sign(
    element: Element,
    pair: KeyPair,
    *,
    method: Any = xmlsec.Transform.RSA_SHA256,
    digest: Any = xmlsec.Transform.SHA256,
    transforms: Sequence[Any] = (xmlsec.Transform.ENVELOPED, xmlsec.Transform.EXCL_C14N),
    certificate: str | None = None,
) -> Element:
    """Sign an assertion or a response in place; the signature is inserted after the Issuer."""
    signature = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, method, ns="ds")
    element.insert(1, signature)
    reference = xmlsec.template.add_reference(signature, digest, uri=f"#{element.get('ID')}")
    for transform in transforms:
        xmlsec.template.add_transform(reference, transform)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pair.key, xmlsec.KeyFormat.PEM, None)
    context.key.load_cert_from_memory(certificate or pair.certificate, xmlsec.KeyFormat.CERT_PEM)
    xmlsec.tree.add_ids(element, ["ID"])
    context.sign(signature)
    return element if element.getparent() is not None else reparsed(element)


def signed(statement: Statement, pair: KeyPair, **options: Any) -> Element:
    """A response with a signed assertion."""
    root = response(statement)
    sign(root.find("saml:Assertion", NAMES), pair, **options)
    return reparsed(root)


def reparsed(element: Element) -> Element:
    """Serialize and parse an element again: lxml cannot compare nodes that xmlsec created."""
    return etree.fromstring(xml(element))


def xml(element: Element) -> bytes:
    """Serialize an element."""
    return etree.tostring(element)


def encoded(content: Element | bytes | str) -> str:
    """The base64 value of the form field SAMLResponse."""
    if isinstance(content, str):
        content = content.encode()
    return base64.b64encode(content if isinstance(content, bytes) else xml(content)).decode()


def changed(root: Element, change: Callable[[Element], None]) -> Element:
    """Change a response in place, after it was signed."""
    change(root)
    return root


def _time(seconds: float) -> str:
    time = datetime.now(UTC) + timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _add(parent: Element, namespace: str, name: str, text: str | None = None, **attributes: Any):
    child = etree.SubElement(parent, f"{{{namespace}}}{name}")
    child.text = text
    _set(child, **attributes)
    return child


def _set(element: Element, **attributes: str | None) -> None:
    for name, value in attributes.items():
        if value is not None:
            element.set(name, value)
