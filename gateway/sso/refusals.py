"""The reasons to refuse a sign-in, with texts for the user and the administrator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """An error page: its HTTP status, what was wrong, and what to do."""

    status: int
    wrong: str
    advice: str


class SignInError(Exception):
    """A refused sign-in. `reason` is a key of `EXPLANATIONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def explanation(self) -> Explanation:
        """The texts of the error page."""
        return EXPLANATIONS[self.reason]


_SIGN_IN_AGAIN: Final = "Sign in again, and use the same browser for the whole sign-in."
_NOT_FROM_IDP: Final = (
    "Sign in again. If it happens again, something between the identity provider and Cloud Academy "
    "is changing responses. Contact Cloud Academy support."
)
_CHECK_SETTINGS: Final = (
    "An administrator of your organization can compare the settings in Cloud Academy (Settings & "
    "Integrations → Integrations → Single sign-on) with those of the identity provider."
)
_CHECK_CLAIMS: Final = (
    "An administrator can check Attributes & Claims of the application in the identity provider. "
    "objectidentifier, givenname, surname and emailaddress must have one value each."
)
_CHECK_CLOCK: Final = (
    "Sign in again. If it happens again, the identity provider's clock is wrong by more than a "
    "minute."
)
_CHECK_PEOPLE: Final = (
    "An administrator can check the person under People in Cloud Academy, and in the provisioning "
    "logs of Microsoft Entra ID."
)

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    # Before the redirect to the identity provider.
    "sso_off": Explanation(
        404,
        "Single sign-on is turned off in this installation of Cloud Academy.",
        "The operator must set GATEWAY_SAML_KEY and GATEWAY_SAML_CERTIFICATE.",
    ),
    "no_connection": Explanation(
        404,
        "No organization uses single sign-on with this email domain, or none has verified it.",
        "Check your email address. " + _CHECK_SETTINGS,
    ),
    "not_set_up": Explanation(
        409,
        "Single sign-on is not set up for this organization.",
        _CHECK_SETTINGS,
    ),
    "not_active": Explanation(
        409,
        "Single sign-on is not active for this organization.",
        "An administrator must test and activate it in Cloud Academy under Settings & Integrations "
        "→ Integrations → Single sign-on.",
    ),
    "not_administrator": Explanation(
        403,
        "Only a signed-in administrator of the organization can test single sign-on.",
        "Sign in as an administrator, then start the test on the Single sign-on page.",
    ),
    "too_many": Explanation(
        429,
        "Too many sign-ins were started from your network.",
        "Wait a few seconds, then sign in again.",
    ),
    "busy": Explanation(
        503,
        "Too many people are signing in right now.",
        "Sign in again in a minute.",
    ),
    # The form that the browser sends.
    "bad_form": Explanation(400, "The request is not a valid form.", _SIGN_IN_AGAIN),
    "too_large": Explanation(
        413,
        "The identity provider's response is larger than 256 KiB.",
        "An administrator can reduce the claims that the identity provider sends, for example to "
        "only the groups that are assigned to the application.",
    ),
    "no_request": Explanation(
        403,
        "No sign-in is in progress in this browser, or it was started more than 10 minutes ago.",
        _SIGN_IN_AGAIN,
    ),
    "other_request": Explanation(
        403,
        "The response belongs to a different sign-in than the one in this browser.",
        _SIGN_IN_AGAIN,
    ),
    "changed_since": Explanation(
        409,
        "The single sign-on settings have changed since the test was started.",
        "Start the test again.",
    ),
    # The structure of the response.
    "bad_base64": Explanation(400, "The response is not valid base64.", _NOT_FROM_IDP),
    "bad_xml": Explanation(400, "The response is not well-formed XML in UTF-8.", _NOT_FROM_IDP),
    "bad_structure": Explanation(
        400,
        "The response does not have the structure that SAML 2.0 requires: a single assertion, "
        "signatures in the standard places, no document type declaration and no comments.",
        _NOT_FROM_IDP,
    ),
    "encrypted": Explanation(
        400,
        "The response is encrypted. Cloud Academy only accepts signed, unencrypted responses.",
        "An administrator can turn off token encryption for the application in the identity "
        "provider.",
    ),
    "weak_algorithm": Explanation(
        400,
        "The response is signed with an algorithm that is not accepted.",
        "An administrator can set the signing algorithm in the identity provider to SHA-256.",
    ),
    "not_signed": Explanation(
        401,
        "The assertion in the response is not signed.",
        "An administrator can set the signing option in the identity provider to “Sign SAML "
        "assertion”.",
    ),
    "bad_signature": Explanation(
        401,
        "The response is not signed with a known certificate of this identity provider.",
        "If the identity provider's certificate has been renewed, an administrator must add the "
        "new one. " + _CHECK_SETTINGS,
    ),
    # The content of the response.
    "status": Explanation(
        401,
        "The identity provider refused the sign-in.",
        "Its sign-in logs contain the reason. Often the person is not assigned to the application.",
    ),
    "wrong_issuer": Explanation(
        401,
        "The response comes from a different identity provider than this organization's.",
        "The identity provider's identifier (Microsoft Entra Identifier) must be the same on both "
        "sides. " + _CHECK_SETTINGS,
    ),
    "wrong_audience": Explanation(
        401,
        "The response is for a different application.",
        "In the identity provider, Identifier (Entity ID) must be urn:federation:cloudacademy.",
    ),
    "wrong_recipient": Explanation(
        401,
        "The response is for a different URL, possibly that of Cloud Academy's other region.",
        "In the identity provider, Reply URL must be the URL in Cloud Academy's metadata.",
    ),
    "wrong_request": Explanation(
        401,
        "The response belongs to a different sign-in request than the one in this browser.",
        _SIGN_IN_AGAIN,
    ),
    "expired": Explanation(401, "The response has expired.", _CHECK_CLOCK),
    "not_yet_valid": Explanation(401, "The response is not valid yet.", _CHECK_CLOCK),
    "bad_assertion": Explanation(
        400,
        "The assertion does not meet the requirements of SAML 2.0's Web Browser SSO profile.",
        _CHECK_SETTINGS,
    ),
    "missing_claim": Explanation(
        422, "The response lacks a claim that Cloud Academy requires.", _CHECK_CLAIMS
    ),
    "bad_claim": Explanation(
        422, "A claim in the response is invalid or has several values.", _CHECK_CLAIMS
    ),
    # The person in the response.
    "replayed": Explanation(401, "The response has already been used.", _SIGN_IN_AGAIN),
    "inactive": Explanation(
        403,
        "Your access to Cloud Academy is disabled.",
        "An administrator can restore it by assigning you to the application again. "
        + _CHECK_PEOPLE,
    ),
    "unknown": Explanation(
        403, "No Cloud Academy account matches the person who signed in.", _CHECK_PEOPLE
    ),
    "unproven_domain": Explanation(
        403,
        "Your organization has not verified the domain of your email address.",
        "An administrator can verify the domain in Cloud Academy under Settings & Integrations → "
        "Integrations → Single sign-on, or provision you with an externalId.",
    ),
    "ambiguous": Explanation(
        409, "Several Cloud Academy accounts have this person's object identifier.", _CHECK_PEOPLE
    ),
    "conflict": Explanation(
        409,
        "Your email address belongs to a Cloud Academy account with a different object identifier.",
        "An administrator can map externalId to objectId under Provisioning in Microsoft Entra "
        "ID. " + _CHECK_PEOPLE,
    ),
    "away": Explanation(
        503, "Cloud Academy is temporarily unavailable.", "Sign in again in a minute."
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
    "SIGN_IN_DOMAIN_UNPROVEN": "unproven_domain",
    "USER_INACTIVE": "inactive",
    "INVALID_FIELD": "bad_claim",
}
"""The sign-in reason for each `cloudacademy.errors.v1.Reason` that a sign-in can get."""
