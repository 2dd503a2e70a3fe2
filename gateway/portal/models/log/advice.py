"""Advice about refused requests, in the terms of the identity provider's user interface."""

from collections.abc import Mapping
from typing import Final

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

from gateway.portal.models.providers import Provider

_BY_REASON: Final[Mapping[str, str]] = {
    "USER_NAME_TAKEN": (
        "Another person already has this userName. Search for it under People. If it is the same "
        "person, set {p.name} to match by userName, then {p.retry}. Otherwise, change the "
        "{p.user_name} of one of them in {p.name}."
    ),
    "USER_NOT_FOUND": (
        "{p.subject} still refers to a person who was deleted here. To create the person again, "
        "{p.rematch}."
    ),
    "GROUP_NOT_FOUND": (
        "{p.subject} still refers to a group that was deleted here. To create the group again, "
        "{p.rematch}."
    ),
    "MEMBER_NOT_FOUND": (
        "A member has not been provisioned yet. Assign the person to the application in {p.name}. "
        "The group is updated {p.next_time}."
    ),
    "GROUP_CYCLE": (
        "The group would become a member of itself. Remove one of the two groups from the other in "
        "{p.name}."
    ),
    "ETAG_MISMATCH": "It was changed by another request at the same time. {p.after_error}",
    "FIELD_IMMUTABLE": "This attribute can't be changed once it is set. {p.create_only}",
    "KEY_EXPIRED": (
        "{p.subject} still uses an expired key. Paste the newest key as {p.secret_label} "
        "{p.where}, or generate a new one here, and {p.test}."
    ),
    "KEY_REVOKED": (
        "The key was revoked here. Generate a new API key and paste it as {p.secret_label} "
        "{p.where}. If the request did not come from {p.name}, somebody else has the old key: "
        "check the address it came from."
    ),
    "INTEGRATION_INACTIVE": "Activate the integration, or stop provisioning in {p.name}.",
}
_BY_SCIM_TYPE: Final[Mapping[str, str]] = {
    "uniqueness": _BY_REASON["USER_NAME_TAKEN"],
    "mutability": _BY_REASON["FIELD_IMMUTABLE"],
    "invalidValue": (
        "A value is not valid. The message above says which one. Correct it for this person in "
        "{p.name}, or change the attribute mapping that produces it."
    ),
    "invalidPath": (
        "The attribute mapping uses a target attribute that doesn't exist here. Correct or remove "
        "it {p.mappings}."
    ),
    "noTarget": (
        "The attribute mapping changes a value that doesn't exist. Check the mappings that select "
        'one of several values, such as emails[type eq "work"].'
    ),
    "invalidSyntax": (
        "The request is not valid SCIM. If {p.name} sent it, contact Cloud Academy support and "
        "include the request ID. If one of your tools sent it, correct it there."
    ),
    "tooMany": "The request is too large. Split it into smaller requests.",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: _BY_REASON["KEY_EXPIRED"],
    404: _BY_REASON["USER_NOT_FOUND"],
    409: _BY_REASON["USER_NAME_TAKEN"],
    412: _BY_REASON["ETAG_MISMATCH"],
    413: "The request is larger than 1 MiB. Shorten the longest values.",
}
_INTERNAL_ERROR: Final = (
    "Something went wrong on our side. {p.after_error} If the error continues, contact Cloud "
    "Academy support and include the request ID."
)
_DEFAULT: Final = "Correct the problem described above, then {p.retry} to try again right away."


def advice(refusal: RefusedRequest, provider: Provider) -> str:
    """What an administrator can do about a refused request of an identity provider."""
    return _template(refusal).format(p=provider)


def _template(refusal: RefusedRequest) -> str:
    if refusal.status >= 500:
        return _INTERNAL_ERROR
    return (
        _BY_REASON.get(refusal.reason)
        or _BY_SCIM_TYPE.get(refusal.error_type)
        or _BY_STATUS.get(refusal.status)
        or _DEFAULT
    )
