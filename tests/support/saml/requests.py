"""Parses and verifies AuthnRequests."""

import base64
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import xmlsec
from lxml import etree

from tests.support.saml.idp import SAML, SAMLP


@dataclass(frozen=True, slots=True)
class AuthnRequest:
    """The content of an AuthnRequest."""

    id: str
    issuer: str
    destination: str
    acs_url: str
    binding: str
    name_id_format: str
    has_requested_authn_context: bool


def read_authn_request(url: str) -> AuthnRequest:
    """The request in a URL of the HTTP-Redirect binding."""
    query = parse_qs(urlsplit(url).query, strict_parsing=True)
    root = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
    assert root.tag == f"{{{SAMLP}}}AuthnRequest"
    return AuthnRequest(
        id=root.get("ID"),
        issuer=root.findtext(f"{{{SAML}}}Issuer"),
        destination=root.get("Destination"),
        acs_url=root.get("AssertionConsumerServiceURL"),
        binding=root.get("ProtocolBinding"),
        name_id_format=root.find(f"{{{SAMLP}}}NameIDPolicy").get("Format"),
        has_requested_authn_context=root.find(f"{{{SAMLP}}}RequestedAuthnContext") is not None,
    )


def check_signature(url: str, certificate: str) -> None:
    """Verify the signature over the query string (SAML bindings section 3.4.4.1)."""
    parts = dict(part.split("=", 1) for part in urlsplit(url).query.split("&"))
    covered = "&".join(f"{name}={parts[name]}" for name in ("SAMLRequest", "RelayState", "SigAlg"))
    query = parse_qs(urlsplit(url).query)
    assert query["SigAlg"] == ["http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"]
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_PEM, None)
    context.verify_binary(
        covered.encode(), xmlsec.Transform.RSA_SHA256, base64.b64decode(query["Signature"][0])
    )
