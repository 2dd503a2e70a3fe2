"""Every refusal of this service, with the words that the customer's admin reads.

The details of the UNAUTHENTICATED ones are shown word for word in Entra: they
say what is wrong and what to do.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chassis.errors import Code, InvalidField, Refusal

PAGE: Final = "Settings & Integrations → Integrations → Microsoft Entra ID"
_RENEW: Final = f"Generate a new key under {PAGE} and paste it as Secret Token in Entra."


class OrganizationNotFound(Refusal):
    """No organization of this region has the id."""

    code = Code.NOT_FOUND
    reason = "ORGANIZATION_NOT_FOUND"

    def __init__(self, organization_id: UUID) -> None:
        super().__init__(f"This region has no organization {organization_id}.")


class OrganizationExists(Refusal):
    """An organization with that id is there and is not the same."""

    code = Code.ALREADY_EXISTS
    reason = "ORGANIZATION_EXISTS"

    def __init__(self, organization_id: UUID) -> None:
        super().__init__(f"There is an organization {organization_id} with another name.")


class KeyNotFound(Refusal):
    """The organization has no key with that id."""

    code = Code.NOT_FOUND
    reason = "KEY_NOT_FOUND"

    def __init__(self, organization_id: UUID, key_id: UUID) -> None:
        super().__init__(f"The organization {organization_id} has no API key {key_id}.")


class IntegrationNotActive(Refusal):
    """Keys are generated for active integrations only."""

    code = Code.FAILED_PRECONDITION
    reason = "INTEGRATION_NOT_ACTIVE"

    def __init__(self) -> None:
        super().__init__(
            f"The integration is not active. Activate it under {PAGE}; then generate a key."
        )


class NewerKeyExists(Refusal):
    """The newest key is another one than the caller knows."""

    code = Code.FAILED_PRECONDITION
    reason = "NEWER_KEY_EXISTS"

    def __init__(self) -> None:
        super().__init__("A newer key was generated since. Look at the keys before you make one.")


class KeyMalformed(Refusal):
    """The token is no API key of ours, or was damaged on its way."""

    code = Code.UNAUTHENTICATED
    reason = "KEY_MALFORMED"

    def __init__(self) -> None:
        super().__init__(
            "This is not a complete API key: it is something else, or a character was lost or "
            f"changed in copying. Paste the whole key as Secret Token in Entra; if you no longer "
            f"have it, generate a new one under {PAGE}."
        )


class KeyUnknown(Refusal):
    """The token has the right form, and no key is known by it."""

    code = Code.UNAUTHENTICATED
    reason = "KEY_UNKNOWN"

    def __init__(self) -> None:
        super().__init__(f"This API key is not known. {_RENEW}")


class KeyExpired(Refusal):
    """A newer key replaced this one and its grace period is over."""

    code = Code.UNAUTHENTICATED
    reason = "KEY_EXPIRED"

    def __init__(self, organization_id: UUID, key_id: UUID, expire_time: datetime) -> None:
        super().__init__(
            f"This API key ended on {_spoken(expire_time)}, because a newer key was generated "
            f"8 hours before. Paste the newer key as Secret Token in Entra; if you do not have "
            f"it, generate another one under {PAGE}.",
            organization_id=str(organization_id),
            key_id=str(key_id),
            expire_time=rfc3339(expire_time),
        )


class KeyRevoked(Refusal):
    """An administrator revoked the key."""

    code = Code.UNAUTHENTICATED
    reason = "KEY_REVOKED"

    def __init__(self, organization_id: UUID, key_id: UUID, revoke_time: datetime) -> None:
        super().__init__(
            f"This API key was revoked on {_spoken(revoke_time)}. {_RENEW}",
            organization_id=str(organization_id),
            key_id=str(key_id),
            revoke_time=rfc3339(revoke_time),
        )


class KeyOfOtherRegion(Refusal):
    """The key belongs to another region than this service."""

    code = Code.UNAUTHENTICATED
    reason = "KEY_OF_OTHER_REGION"

    def __init__(self, region: str, site: str) -> None:
        super().__init__(
            f"This API key belongs to {site}. Set the Tenant URL in Entra to the one that "
            f"{site} shows under {PAGE}.",
            region=region,
        )


class IntegrationInactive(Refusal):
    """The key is good and the organization's integration is switched off."""

    code = Code.UNAUTHENTICATED
    reason = "INTEGRATION_INACTIVE"

    def __init__(self, organization_id: UUID, key_id: UUID) -> None:
        super().__init__(
            f"The integration is switched off. Activate it under {PAGE}; this API key then "
            "works again.",
            organization_id=str(organization_id),
            key_id=str(key_id),
        )


class EtagMismatch(Refusal):
    """The connection has changed since the version that the request names."""

    code = Code.ABORTED
    reason = "ETAG_MISMATCH"

    def __init__(self, current: str) -> None:
        super().__init__("It has changed since it was read; read it again.", etag=current)


class SsoNotTested(Refusal):
    """Single sign-on has not been tested as it is set up."""

    code = Code.FAILED_PRECONDITION
    reason = "SSO_NOT_TESTED"

    def __init__(self) -> None:
        super().__init__("Single sign-on has not been tested as it is set up now. Test it first.")


class SsoConnectionNotFound(Refusal):
    """No organization signs in that way."""

    code = Code.NOT_FOUND
    reason = "SSO_CONNECTION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("No organization signs in that way.")


class SsoDomainTaken(Refusal):
    """Another organization has the e-mail domain."""

    code = Code.ALREADY_EXISTS
    reason = "SSO_DOMAIN_TAKEN"

    def __init__(self, domain: str) -> None:
        super().__init__(
            f"Another organization signs in by addresses of {domain}. If the domain is yours, "
            "tell Cloud Academy's support.",
            domain=domain,
        )


TOO_LONG: Final = "must have at most 200 characters"
NAME_LENGTH: Final = "must have 1 to 200 characters"

BROKEN_CONSTRAINTS: Final[Mapping[str, Callable[[], Refusal]]] = {
    "organization_display_name_length": lambda: InvalidField(
        "organization.display_name", NAME_LENGTH
    ),
    "api_key_created_by_length": lambda: InvalidField("created_by", TOO_LONG),
    "api_key_revoked_by_length": lambda: InvalidField("revoked_by", TOO_LONG),
}
"""What a broken constraint of the database means to the caller."""


def rfc3339(time: datetime) -> str:
    """A time for programs."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _spoken(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"
