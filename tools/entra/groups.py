"""Groups as Entra creates them: first without members, which are added later."""

from dataclasses import dataclass
from typing import Any

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
# Entra also names this URN in each POST; no such schema is published.
ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


@dataclass(frozen=True, slots=True)
class Group:
    """A group in the directory."""

    display_name: str
    external_id: str


def post_body(group: Group) -> dict[str, Any]:
    """The body of the POST by which Entra creates a group."""
    return {
        "schemas": [GROUP, ADSCIM],
        "externalId": group.external_id,
        "displayName": group.display_name,
        "meta": {"resourceType": "Group"},
    }
