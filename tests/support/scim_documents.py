"""SCIM requests that several test modules send, and helpers to read the responses."""

from typing import Any
from uuid import uuid4

from tests.support.scim import Reply

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def person(**attributes: object) -> dict[str, Any]:
    """A new user with a random userName."""
    return {"schemas": [USER], "userName": f"{uuid4().hex}@corp.test", **attributes}


FULL_USER: dict[str, Any] = {
    "externalId": "ann",
    "name": {
        "formatted": "Dr. Ann B Li III",
        "familyName": "Li",
        "givenName": "Ann",
        "middleName": "B",
        "honorificPrefix": "Dr.",
        "honorificSuffix": "III",
    },
    "displayName": "Ann Li",
    "nickName": "Annie",
    "profileUrl": "https://corp.test/ann",
    "title": "Head of Nothing",
    "userType": "Employee",
    "preferredLanguage": "de-CH, en;q=0.8",
    "locale": "de-CH",
    "timezone": "Europe/Zurich",
    "active": True,
    "emails": [
        {"value": "Ann@corp.test", "type": "work", "display": "Ann", "primary": True},
        {"value": "ann@home.test", "type": "home", "primary": False},
    ],
    "phoneNumbers": [{"value": "+41 (0)44 000 00 00", "type": "mobile"}],
    "ims": [{"value": "ann", "type": "xmpp"}],
    "photos": [{"value": "https://corp.test/ann.png", "type": "photo"}],
    "addresses": [
        {
            "formatted": "Gasse 1\n8000 Zürich",
            "streetAddress": "Gasse 1",
            "locality": "Zürich",
            "region": "ZH",
            "postalCode": "8000",
            "country": "CH",
            "type": "work",
            "primary": True,
        }
    ],
    "entitlements": [{"value": "library"}],
    "roles": [{"value": "Administrator", "type": "role"}],
    "x509Certificates": [{"value": "MIIBAA=="}],
    ENTERPRISE: {
        "employeeNumber": "701984",
        "costCenter": "4130",
        "organization": "Corp",
        "division": "Theme Park",
        "department": "Tours",
        "manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d"},
    },
}


GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def refusal(reply: Reply) -> tuple[int, str | None]:
    """The status and scimType of an error response."""
    return reply.status, reply.document.get("scimType")


def patch(op: str, path: str | None = None, value: object = None) -> dict[str, Any]:
    """A PatchOp message with one operation."""
    operation = {"op": op, "path": path, "value": value}
    present = {name: member for name, member in operation.items() if member is not None}
    return {"schemas": [PATCH_OP], "Operations": [present]}
