"""What to do about a refusal, in the words of Entra's own screens."""

from collections.abc import Mapping
from typing import Final

from cloudacademy.users.v1.activity_pb2 import RefusedRequest

_BY_REASON: Final[Mapping[str, str]] = {
    "USER_NAME_TAKEN": (
        "Two people want the same userName. Search for it under People: if that is the same "
        "person, let Entra match by userName and choose “Provision on demand” for them; "
        "if not, give one of them another userPrincipalName in Entra."
    ),
    "USER_NOT_FOUND": (
        "Entra remembers somebody who was deleted here. In Entra choose “Restart "
        "provisioning”, which makes it look everybody up anew, or “Provision on "
        "demand” for this person."
    ),
    "GROUP_NOT_FOUND": (
        "Entra remembers a group that was deleted here. In Entra choose “Restart "
        "provisioning”, which makes it look all groups up anew."
    ),
    "MEMBER_NOT_FOUND": (
        "A member has not been provisioned yet. Assign the person to the application in Entra; "
        "the group follows with the next cycle, in about 40 minutes."
    ),
    "GROUP_CYCLE": "A group would be in itself. Take one of the two out of the other in Entra.",
    "ETAG_MISMATCH": (
        "Somebody else changed it at the same moment. Nothing to do: Entra tries again with its "
        "next cycle."
    ),
    "FIELD_IMMUTABLE": (
        "This attribute keeps its first value. In Entra, under Mappings, set “Apply this "
        "mapping” to “Only during object creation”."
    ),
    "KEY_EXPIRED": (
        "Entra still uses an old key. Paste the newest one as Secret Token under Provisioning → "
        "Admin Credentials in Entra, or generate another one here, and choose “Test "
        "Connection”."
    ),
    "KEY_REVOKED": (
        "The key was revoked here. Generate a new API Key and paste it as Secret Token under "
        "Provisioning → Admin Credentials in Entra. If it is not Entra that calls, somebody else "
        "has the old key: look at the address that it came from."
    ),
    "INTEGRATION_INACTIVE": "Activate the integration, or stop provisioning in Entra.",
}
_BY_SCIM_TYPE: Final[Mapping[str, str]] = {
    "uniqueness": _BY_REASON["USER_NAME_TAKEN"],
    "mutability": _BY_REASON["FIELD_IMMUTABLE"],
    "invalidValue": (
        "A value cannot be taken. The text above says which one: correct it for this person in "
        "Entra, or change the attribute mapping that makes it."
    ),
    "invalidPath": (
        "The attribute mapping names a target attribute that we do not have. Correct or remove it "
        "under Mappings in Entra."
    ),
    "noTarget": (
        "The attribute mapping changes a value that is not there. Look at the mappings that name "
        'one of several values, such as emails[type eq "work"].'
    ),
    "invalidSyntax": (
        "The request is not SCIM as the standard has it. If Entra sent it, tell Cloud Academy's "
        "support the request id; if a tool of yours did, correct it there."
    ),
    "tooMany": "The request asks for too much at once. Make it smaller.",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: _BY_REASON["KEY_EXPIRED"],
    404: _BY_REASON["USER_NOT_FOUND"],
    409: _BY_REASON["USER_NAME_TAKEN"],
    412: _BY_REASON["ETAG_MISMATCH"],
    413: "The request is larger than 1 MiB. Shorten the largest values.",
}
_FAULT: Final = (
    "This was our fault, not yours. Entra tries again with its next cycle, in about 40 minutes; if "
    "it goes on, tell Cloud Academy's support the request id."
)
_OTHER: Final = (
    "Correct what the text above names, then choose “Provision on demand” in Entra to "
    "try again at once."
)


def advice(refusal: RefusedRequest) -> str:
    """What an administrator can do about a refusal."""
    if refusal.status >= 500:
        return _FAULT
    return (
        _BY_REASON.get(refusal.reason)
        or _BY_SCIM_TYPE.get(refusal.error_type)
        or _BY_STATUS.get(refusal.status)
        or _OTHER
    )
