"""Why a sign-in is refused, in words for the person and for who set it up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the page of a refusal says: what is wrong, and what can be done about it."""

    status: int
    wrong: str
    advice: str


class SignInError(Exception):
    """A sign-in that is refused; `reason` is one of `EXPLANATIONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def explanation(self) -> Explanation:
        """What its page says."""
        return EXPLANATIONS[self.reason]


_BEGIN_ANEW: Final = "Begin the sign-in anew. It has to end in the browser that it began in."
_NOT_FROM_IDP: Final = (
    "Begin the sign-in anew. If it happens again, somebody or something between the identity "
    "provider and Cloud Academy changes responses: tell Cloud Academy's support."
)
_CHECK_SET_UP: Final = (
    "An administrator of your organization can compare the set-up under Settings & Integrations → "
    "Integrations → Single sign-on in Cloud Academy with the one of the identity provider."
)
_CHECK_CLAIMS: Final = (
    "An administrator can look at Attributes & Claims of the application in the identity "
    "provider: objectidentifier, givenname, surname and emailaddress have to have one value each."
)
_CHECK_CLOCK: Final = (
    "Begin the sign-in anew. If it happens again, the identity provider's clock is wrong by more "
    "than a minute."
)
_CHECK_PEOPLE: Final = (
    "An administrator can look the person up under People in Cloud Academy, and under "
    "Provisioning logs in Microsoft Entra ID."
)

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    # Before the identity provider.
    "sso_off": Explanation(
        404,
        "Single sign-on is switched off in this installation of Cloud Academy.",
        "Its operator has to set GATEWAY_SAML_KEY and GATEWAY_SAML_CERTIFICATE.",
    ),
    "no_connection": Explanation(
        404,
        "No organization signs in this way.",
        "Check the e-mail address. " + _CHECK_SET_UP,
    ),
    "not_set_up": Explanation(
        409,
        "Single sign-on of this organization is not set up yet.",
        _CHECK_SET_UP,
    ),
    "not_active": Explanation(
        409,
        "Single sign-on of this organization is not active.",
        "An administrator has to test and activate it under Settings & Integrations → "
        "Integrations → Single sign-on in Cloud Academy.",
    ),
    "not_administrator": Explanation(
        403,
        "Only a signed-in administrator of the organization can test its single sign-on.",
        "Sign in first, then begin the test on the page of the set-up.",
    ),
    "too_many": Explanation(
        429,
        "Too many sign-ins were begun from this address.",
        "Wait a few seconds, then begin the sign-in anew.",
    ),
    "busy": Explanation(
        503,
        "Too many people sign in at this moment.",
        "Begin the sign-in anew in a minute.",
    ),
    # The form that the browser brings.
    "bad_form": Explanation(
        400, "The request is not the form that an identity provider sends.", _BEGIN_ANEW
    ),
    "too_large": Explanation(
        413,
        "The identity provider's response is larger than 256 KiB.",
        "An administrator can let the identity provider send fewer claims: of groups, say, only "
        "those that are assigned to the application.",
    ),
    "no_request": Explanation(
        403,
        "This browser has not asked to sign in, or asked more than 10 minutes ago.",
        _BEGIN_ANEW,
    ),
    "other_request": Explanation(
        403,
        "The response is for another sign-in than the one that this browser began.",
        _BEGIN_ANEW,
    ),
    "changed_since": Explanation(
        409,
        "The set-up of single sign-on has changed since the test began.",
        "Begin the test anew.",
    ),
    # What the response is made of.
    "bad_base64": Explanation(400, "The response is not encoded in base64.", _NOT_FROM_IDP),
    "bad_xml": Explanation(400, "The response is no well-formed XML in UTF-8.", _NOT_FROM_IDP),
    "bad_structure": Explanation(
        400,
        "The response is not built as SAML 2.0 asks: one assertion, signatures only where they "
        "belong, no document type, no comments.",
        _NOT_FROM_IDP,
    ),
    "encrypted": Explanation(
        400,
        "The response is encrypted; Cloud Academy takes signed ones over HTTPS.",
        "An administrator can switch off token encryption of the application in the identity "
        "provider.",
    ),
    "weak_algorithm": Explanation(
        400,
        "The response is signed with an algorithm that is not accepted.",
        "An administrator can set the signing algorithm of the identity provider to RSA with "
        "SHA-256.",
    ),
    "not_signed": Explanation(
        401,
        "The assertion in the response is not signed.",
        "An administrator can set the signing option of the identity provider to Sign SAML "
        "assertion.",
    ),
    "bad_signature": Explanation(
        401,
        "The response is not signed with a certificate of this organization's identity provider.",
        "When the identity provider's certificate was renewed, an administrator has to add the "
        "new one. " + _CHECK_SET_UP,
    ),
    # What the response says.
    "status": Explanation(
        401,
        "The identity provider did not sign the person in.",
        "Its own page or log says why; often the person is not assigned to the application.",
    ),
    "wrong_issuer": Explanation(
        401,
        "The response comes from another identity provider than this organization's.",
        "The identifier of the identity provider (Microsoft Entra Identifier) has to be the same "
        "on both sides. " + _CHECK_SET_UP,
    ),
    "wrong_audience": Explanation(
        401,
        "The response is made for another application.",
        "Identifier (Entity ID) in the identity provider has to be urn:federation:cloudacademy.",
    ),
    "wrong_recipient": Explanation(
        401,
        "The response is made for another address, perhaps that of Cloud Academy's other region.",
        "Reply URL in the identity provider has to be the address that our metadata names.",
    ),
    "wrong_request": Explanation(
        401, "The response answers another request than the one of this browser.", _BEGIN_ANEW
    ),
    "expired": Explanation(401, "The response is not valid any more.", _CHECK_CLOCK),
    "not_yet_valid": Explanation(401, "The response is not valid yet.", _CHECK_CLOCK),
    "bad_assertion": Explanation(
        400,
        "The assertion lacks what SAML 2.0's Web Browser SSO profile asks for.",
        _CHECK_SET_UP,
    ),
    "missing_claim": Explanation(
        422, "A claim that Cloud Academy needs is not in the response.", _CHECK_CLAIMS
    ),
    "bad_claim": Explanation(
        422, "A claim in the response has several values or one that cannot be.", _CHECK_CLAIMS
    ),
    # Who the person is.
    "replayed": Explanation(401, "The response was used before.", _BEGIN_ANEW),
    "inactive": Explanation(
        403,
        "This person's access to Cloud Academy is switched off.",
        "An administrator gives access back by assigning the person to the application again. "
        + _CHECK_PEOPLE,
    ),
    "unknown": Explanation(
        403, "Nobody at Cloud Academy matches the person who signed in.", _CHECK_PEOPLE
    ),
    "ambiguous": Explanation(
        409, "Several people at Cloud Academy have this person's object identifier.", _CHECK_PEOPLE
    ),
    "conflict": Explanation(
        409,
        "The e-mail address belongs to somebody with another object identifier at Cloud Academy.",
        "An administrator can map externalId to objectId under Provisioning in Microsoft Entra "
        "ID. " + _CHECK_PEOPLE,
    ),
    "away": Explanation(
        503, "Cloud Academy cannot answer at the moment.", "Begin the sign-in anew in a minute."
    ),
}

SIGN_IN_REASONS: Final[Mapping[str, str]] = {
    "SSO_CONNECTION_NOT_FOUND": "no_connection",
    "ORGANIZATION_NOT_FOUND": "no_connection",
    "ETAG_MISMATCH": "changed_since",
    "ASSERTION_REPLAYED": "replayed",
    "SIGN_IN_AMBIGUOUS": "ambiguous",
    "SIGN_IN_CONFLICT": "conflict",
    "SIGN_IN_UNKNOWN": "unknown",
    "USER_INACTIVE": "inactive",
    "INVALID_FIELD": "bad_claim",
}
"""Our reason for each `cloudacademy.errors.v1.Reason` that a sign-in may meet."""
