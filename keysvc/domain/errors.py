"""The table of this service's refusals.

Identity providers show the details of UNAUTHENTICATED ones word for word to the customer's admin:
they say what is wrong and what to do, in the words of Entra and of others.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.errors import Code, RefusalKind

PAGE: Final = "Settings & Integrations → Integrations"
_PASTED: Final = "as Secret Token in Entra, or as bearer token in another identity provider"
_RENEW: Final = f"Generate a new key under {PAGE} and paste it {_PASTED}."

# --- organizations and keys -------------------------------------------------------------

ORGANIZATION_NOT_FOUND: Final = RefusalKind[UUID](
    "ORGANIZATION_NOT_FOUND",
    Code.NOT_FOUND,
    "This region has no organization {organization_id}.",
    parameters=("organization_id",),
)
ORGANIZATION_EXISTS: Final = RefusalKind[UUID](
    "ORGANIZATION_EXISTS",
    Code.ALREADY_EXISTS,
    "The organization {organization_id} exists already with another name.",
    parameters=("organization_id",),
)
KEY_NOT_FOUND: Final = RefusalKind[UUID, UUID](
    "KEY_NOT_FOUND",
    Code.NOT_FOUND,
    "The organization {organization_id} has no API key {key_id}.",
    parameters=("organization_id", "key_id"),
)
INTEGRATION_NOT_ACTIVE: Final = RefusalKind[()](
    "INTEGRATION_NOT_ACTIVE",
    Code.FAILED_PRECONDITION,
    f"The integration is not active. Activate it under {PAGE}, then generate a key.",
)
NEWER_KEY_EXISTS: Final = RefusalKind[()](
    "NEWER_KEY_EXISTS",
    Code.FAILED_PRECONDITION,
    "A newer key was generated meanwhile. Check the list of keys before you generate another one.",
)

# --- authentication ---------------------------------------------------------------------

KEY_MALFORMED: Final = RefusalKind[()](
    "KEY_MALFORMED",
    Code.UNAUTHENTICATED,
    "This is not a complete API key: it is something else, or a character was lost or "
    f"changed when it was copied. Paste the whole key {_PASTED}. If you no longer have it, "
    f"generate a new one under {PAGE}.",
)
KEY_UNKNOWN: Final = RefusalKind[()](
    "KEY_UNKNOWN", Code.UNAUTHENTICATED, f"This API key does not exist. {_RENEW}"
)
KEY_EXPIRED: Final = RefusalKind[UUID, UUID, datetime](
    "KEY_EXPIRED",
    Code.UNAUTHENTICATED,
    "This API key expired on {expire_time:%Y-%m-%d at %H:%M} UTC, 8 hours after a newer key was "
    f"generated. Paste the newer key {_PASTED}. If you do not have it, generate another one under "
    f"{PAGE}.",
    parameters=("organization_id", "key_id", "expire_time"),
    metadata=("organization_id", "key_id", "expire_time"),
)
KEY_REVOKED: Final = RefusalKind[UUID, UUID, datetime](
    "KEY_REVOKED",
    Code.UNAUTHENTICATED,
    "This API key was revoked on {revoke_time:%Y-%m-%d at %H:%M} UTC. " + _RENEW,
    parameters=("organization_id", "key_id", "revoke_time"),
    metadata=("organization_id", "key_id", "revoke_time"),
)
KEY_OF_OTHER_REGION: Final = RefusalKind[str, str](
    "KEY_OF_OTHER_REGION",
    Code.UNAUTHENTICATED,
    "This API key belongs to {site}. Set the Tenant URL in your identity provider to the one that "
    "{site} shows under " + PAGE + ".",
    parameters=("region", "site"),
    metadata=("region",),
)
INTEGRATION_INACTIVE: Final = RefusalKind[UUID, UUID](
    "INTEGRATION_INACTIVE",
    Code.UNAUTHENTICATED,
    f"The integration is switched off. Activate it under {PAGE}. This API key then works again.",
    parameters=("organization_id", "key_id"),
    metadata=("organization_id", "key_id"),
)

# --- single sign-on ---------------------------------------------------------------------

SSO_NOT_TESTED: Final = RefusalKind[()](
    "SSO_NOT_TESTED",
    Code.FAILED_PRECONDITION,
    "The current setup of single sign-on has not been tested. Test it first.",
)
SSO_CONNECTION_NOT_FOUND: Final = RefusalKind[()](
    "SSO_CONNECTION_NOT_FOUND", Code.NOT_FOUND, "No single sign-on connection was found."
)
SSO_DOMAIN_TAKEN: Final = RefusalKind[str](
    "SSO_DOMAIN_TAKEN",
    Code.ALREADY_EXISTS,
    "Another organization has proven the domain {domain}. If the domain is yours, contact Cloud "
    "Academy's support.",
    parameters=("domain",),
    metadata=("domain",),
)

# --- checks of values -------------------------------------------------------------------

TOO_LONG: Final = "must have at most 200 characters"
NAME_LENGTH: Final = "must have 1 to 200 characters"
