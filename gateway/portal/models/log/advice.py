"""Advice about refused requests, in the terms of Entra's user interface."""

from collections.abc import Mapping
from typing import Final

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

_BY_REASON: Final[Mapping[str, str]] = {
    "USER_NAME_TAKEN": (
        "Another person already has this userName. Search for it under People. If it is the same "
        "person, set Entra to match by userName and select “Provision on demand” for them. "
        "Otherwise, change the userPrincipalName of one of them in Entra."
    ),
    "USER_NOT_FOUND": (
        "Entra still refers to a person who was deleted here. In Entra, select “Restart "
        "provisioning” to match all people again, or “Provision on demand” for this person."
    ),
    "GROUP_NOT_FOUND": (
        "Entra still refers to a group that was deleted here. In Entra, select “Restart "
        "provisioning” to match all groups again."
    ),
    "MEMBER_NOT_FOUND": (
        "A member has not been provisioned yet. Assign the person to the application in Entra. "
        "The group is updated in the next cycle, in about 40 minutes."
    ),
    "GROUP_CYCLE": (
        "The group would become a member of itself. Remove one of the two groups from the other in "
        "Entra."
    ),
    "ETAG_MISMATCH": (
        "It was changed by another request at the same time. You don't need to do anything: Entra "
        "tries again in its next cycle."
    ),
    "FIELD_IMMUTABLE": (
        "This attribute can't be changed once it is set. In Entra, under Mappings, set “Apply this "
        "mapping” to “Only during object creation”."
    ),
    "KEY_EXPIRED": (
        "Entra still uses an expired key. Paste the newest key as Secret Token under Provisioning "
        "→ Admin Credentials in Entra, or generate a new one here, and select “Test Connection”."
    ),
    "KEY_REVOKED": (
        "The key was revoked here. Generate a new API key and paste it as Secret Token under "
        "Provisioning → Admin Credentials in Entra. If the request did not come from Entra, "
        "somebody else has the old key: check the address it came from."
    ),
    "INTEGRATION_INACTIVE": "Activate the integration, or stop provisioning in Entra.",
}
_BY_SCIM_TYPE: Final[Mapping[str, str]] = {
    "uniqueness": _BY_REASON["USER_NAME_TAKEN"],
    "mutability": _BY_REASON["FIELD_IMMUTABLE"],
    "invalidValue": (
        "A value is not valid. The message above says which one. Correct it for this person in "
        "Entra, or change the attribute mapping that produces it."
    ),
    "invalidPath": (
        "The attribute mapping uses a target attribute that doesn't exist here. Correct or remove "
        "it under Mappings in Entra."
    ),
    "noTarget": (
        "The attribute mapping changes a value that doesn't exist. Check the mappings that select "
        'one of several values, such as emails[type eq "work"].'
    ),
    "invalidSyntax": (
        "The request is not valid SCIM. If Entra sent it, contact Cloud Academy support and "
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
    "Something went wrong on our side. Entra tries again in its next cycle, in about 40 minutes. "
    "If the error continues, contact Cloud Academy support and include the request ID."
)
_DEFAULT: Final = (
    "Correct the problem described above, then select “Provision on demand” in Entra to try again "
    "right away."
)


def advice(refusal: RefusedRequest) -> str:
    """What an administrator can do about a refused request."""
    if refusal.status >= 500:
        return _INTERNAL_ERROR
    return (
        _BY_REASON.get(refusal.reason)
        or _BY_SCIM_TYPE.get(refusal.error_type)
        or _BY_STATUS.get(refusal.status)
        or _DEFAULT
    )
