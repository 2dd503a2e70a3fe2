"""Verification of a SAML response, and the claims in it."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from onelogin.saml2.errors import OneLogin_Saml2_ValidationError
from onelogin.saml2.response import OneLogin_Saml2_Response

from gateway.sso.provider import ENTITY_ID, IdentityProvider, ServiceProvider
from gateway.sso.refusals import SignInError
from gateway.sso.response_structure import check_structure, decode_response

CLOCK_SKEW: Final = timedelta(seconds=60)

OBJECT_IDENTIFIER: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_CLAIMS: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
GIVEN_NAME: Final = f"{_CLAIMS}givenname"
SURNAME: Final = f"{_CLAIMS}surname"
EMAIL_ADDRESS: Final = f"{_CLAIMS}emailaddress"
CLAIMS: Final = (OBJECT_IDENTIFIER, GIVEN_NAME, SURNAME, EMAIL_ADDRESS)

_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_NAMESPACES: Final = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
}
_CONDITIONS: Final = {
    f"{{{_NAMESPACES['saml']}}}{name}"
    for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")
}
_MAX_CHARACTERS: Final = 320
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?Z", re.ASCII)
_SECONDS_LENGTH: Final = len("2026-11-30T08:00:00")

Element = Any

_Error = OneLogin_Saml2_ValidationError
_REASONS: Final[Mapping[int, str]] = {
    _Error.STATUS_CODE_IS_NOT_SUCCESS: "status",
    _Error.ASSERTION_TOO_EARLY: "not_yet_valid",
    _Error.ASSERTION_EXPIRED: "expired",
    _Error.SESSION_EXPIRED: "expired",
    _Error.WRONG_INRESPONSETO: "wrong_request",
    _Error.WRONG_DESTINATION: "wrong_recipient",
    _Error.EMPTY_DESTINATION: "wrong_recipient",
    _Error.WRONG_AUDIENCE: "wrong_audience",
    _Error.WRONG_ISSUER: "wrong_issuer",
    _Error.NO_SIGNATURE_FOUND: "not_signed",
    _Error.NO_SIGNED_ASSERTION: "not_signed",
    _Error.INVALID_SIGNATURE: "bad_signature",
    _Error.NO_ATTRIBUTESTATEMENT: "missing_claim",
    _Error.DEPRECATED_SIGNATURE_METHOD: "weak_algorithm",
    _Error.DEPRECATED_DIGEST_METHOD: "weak_algorithm",
    _Error.WRONG_SUBJECTCONFIRMATION: "bad_assertion",
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """The verified claims of an assertion."""

    id: str
    expire_time: datetime
    object_identifier: str
    email: str
    given_name: str
    family_name: str
    missing: tuple[str, ...] = ()
    """The claims that the identity provider did not send, by the last segment of their names."""

    def expiring_by(self, time: datetime) -> "Assertion":
        """A copy that expires at this time at the latest."""
        return replace(self, expire_time=min(self.expire_time, time))


def verify(
    sp: ServiceProvider, idp: IdentityProvider, saml_response: str, request_id: str, now: datetime
) -> Assertion:
    """Verify a response, and return its assertion.

    Raises SignInError unless the response comes from this identity provider, answers this request,
    is meant for this service provider and is valid now. The library verifies the signature and the
    conditions. The checks here require what the library treats as optional, and compare exactly
    where it is lenient.
    """
    xml = decode_response(saml_response)
    check_structure(xml)
    try:
        response = OneLogin_Saml2_Response(sp.settings(idp), base64.b64encode(xml))
        _check_status(response.get_xml_document())
        _check_content(response.get_xml_document(), sp, idp, request_id, now)
        response.is_valid(_request_data(sp), request_id, raise_exceptions=True)
        claims = response.get_attributes()
    except OneLogin_Saml2_ValidationError as error:
        raise SignInError(_REASONS.get(error.code, "bad_structure")) from None
    except SignInError:
        raise
    except Exception:  # noqa: BLE001 - the library raises bare exceptions that quote values
        raise SignInError("bad_structure") from None
    return _read_claims(response.get_xml_document(), claims)


def _read_claims(root: Element, claims: Mapping[str, list[Any]]) -> Assertion:
    assertion = root.find("saml:Assertion", _NAMESPACES)
    names = {name: _claim(claims, name) for name in CLAIMS}
    missing = tuple(name.rpartition("/")[2] for name, value in names.items() if not value)
    if not names[OBJECT_IDENTIFIER] or not names[EMAIL_ADDRESS]:
        raise SignInError("missing_claim")
    if "@" not in names[EMAIL_ADDRESS] or " " in names[EMAIL_ADDRESS]:
        raise SignInError("bad_claim")
    return Assertion(
        id=assertion.get("ID"),
        expire_time=_expire_time(assertion),
        object_identifier=names[OBJECT_IDENTIFIER],
        email=names[EMAIL_ADDRESS],
        given_name=names[GIVEN_NAME],
        family_name=names[SURNAME],
        missing=missing,
    )


def _claim(claims: Mapping[str, list[Any]], name: str) -> str:
    """The single value of a claim, empty if missing. Raises SignInError (bad_claim)."""
    values = claims.get(name) or [""]
    if len(values) > 1 or not isinstance(values[0], str) or len(values[0]) > _MAX_CHARACTERS:
        raise SignInError("bad_claim")
    return values[0]


def _check_status(root: Element) -> None:
    code = root.find("samlp:Status/samlp:StatusCode", _NAMESPACES)
    if code is None:
        raise SignInError("bad_structure")
    if code.get("Value") != _SUCCESS:
        raise SignInError("status")


def _check_content(
    root: Element, sp: ServiceProvider, idp: IdentityProvider, request_id: str, now: datetime
) -> None:
    """Raise SignInError unless the required elements have exact values (SAML profiles, 4.1.4)."""
    assertion = _only_child(root, "saml:Assertion")
    issuers = [*root.findall("saml:Issuer", _NAMESPACES), _only_child(assertion, "saml:Issuer")]
    if any(issuer.text != idp.entity_id for issuer in issuers):
        raise SignInError("wrong_issuer")
    if root.get("Destination") != sp.acs_url:
        raise SignInError("wrong_recipient")
    if root.get("InResponseTo") != request_id:
        raise SignInError("wrong_request")
    _check_conditions(_only_child(assertion, "saml:Conditions"), now)
    _check_subject(_only_child(assertion, "saml:Subject"), sp, request_id, now)
    _check_attributes(assertion)


def _check_conditions(conditions: Element, now: datetime) -> None:
    restrictions = conditions.findall("saml:AudienceRestriction", _NAMESPACES)
    audiences = [[each.text for each in restriction] for restriction in restrictions]
    if not audiences or not all(ENTITY_ID in each for each in audiences):
        raise SignInError("wrong_audience")
    if any(condition.tag not in _CONDITIONS for condition in conditions):
        raise SignInError("bad_assertion")
    start, end = _time(conditions, "NotBefore"), _time(conditions, "NotOnOrAfter")
    if start is not None and now < start - CLOCK_SKEW:
        raise SignInError("not_yet_valid")
    if end is not None and now >= end + CLOCK_SKEW:
        raise SignInError("expired")


def _check_subject(subject: Element, sp: ServiceProvider, request_id: str, now: datetime) -> None:
    """Require a single bearer confirmation for this request (SAML profiles section 4.1.4.2)."""
    confirmation = _only_child(subject, "saml:SubjectConfirmation")
    data = _only_child(confirmation, "saml:SubjectConfirmationData")
    end = _time(data, "NotOnOrAfter")
    if confirmation.get("Method") != _BEARER or end is None or data.get("NotBefore"):
        raise SignInError("bad_assertion")
    if data.get("Recipient") != sp.acs_url:
        raise SignInError("wrong_recipient")
    if data.get("InResponseTo") != request_id:
        raise SignInError("wrong_request")
    if now >= end:  # without clock skew, as in the library
        raise SignInError("expired")


def _check_attributes(assertion: Element) -> None:
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", _NAMESPACES):
        if attribute.get("Name") in CLAIMS and any(len(value) for value in attribute):
            raise SignInError("bad_claim")


def _expire_time(assertion: Element) -> datetime:
    """The time from which the assertion is refused as expired, including clock skew."""
    data = assertion.find("saml:Subject/saml:SubjectConfirmation/*", _NAMESPACES)
    times = (
        _time(data, "NotOnOrAfter"),
        _time(_only_child(assertion, "saml:Conditions"), "NotOnOrAfter"),
    )
    return min(time for time in times if time is not None) + CLOCK_SKEW


def _only_child(parent: Element, name: str) -> Element:
    found = parent.findall(name, _NAMESPACES)
    if len(found) != 1:
        raise SignInError("bad_assertion")
    return found[0]


def _time(element: Element, name: str) -> datetime | None:
    text = element.get(name)
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise SignInError("bad_assertion")
    try:
        return datetime.fromisoformat(text[:_SECONDS_LENGTH]).replace(tzinfo=UTC)
    except ValueError:
        raise SignInError("bad_assertion") from None


def _request_data(sp: ServiceProvider) -> dict[str, str]:
    """Our URL, in the library's format."""
    parts = urlsplit(sp.acs_url)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": parts.path,
    }
