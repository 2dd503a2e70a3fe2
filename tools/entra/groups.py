"""Groups as Entra has them, and how it creates them: by name first, their members later."""

from dataclasses import dataclass
from typing import Any

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
# What Entra names besides in each POST; nobody has its schema.
ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


@dataclass(frozen=True, slots=True)
class Group:
    """A group as the directory knows it."""

    display_name: str
    external_id: str


def creation(group: Group) -> dict[str, Any]:
    """The body of Entra's POST."""
    return {
        "schemas": [GROUP, ADSCIM],
        "externalId": group.external_id,
        "displayName": group.display_name,
        "meta": {"resourceType": "Group"},
    }
