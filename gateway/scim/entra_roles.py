"""Roles as Microsoft Entra ID sends them: JSON in a string.

Its expression AppRoleAssignmentsComplex sends, in a PATCH, the text
`{"id": "…", "value": "Admin", "displayName": "Admin"}` as the value of a role. In a POST it sends
an object with `displayName` instead of `display`. Both are read as the role of RFC 7643 section
4.1.2. So a user whose roles came in a POST has the same roles after such a PATCH.
"""

from typing import Any, Final

import orjson

from gateway.scim.schema import MAX_TEXT_BYTES, USER

ROLES: Final = USER.schema.attributes["roles"]
ROLE_VALUE: Final = ROLES.sub_attributes["value"]
_DISPLAY: Final = "display"
_DISPLAY_NAME: Final = "displayname"  # in lower case


def read_role(value: object) -> object:
    """A client's role as an object with the sub-attributes of RFC 7643.

    Sub-attributes beside a JSON text take precedence over those in it. Any other value is returned
    unchanged. So is an object that gives a member twice, which is refused later.
    """
    outer = {"value": value} if isinstance(value, str) else value
    if not isinstance(outer, dict):
        return value
    members = {name.lower(): part for name, part in outer.items()}
    inner = role_in(members.get("value"))
    if len(members) != len(outer) or (inner is None and _DISPLAY_NAME not in members):
        return value
    if inner is None:
        return _with_display(members)
    del members["value"]
    given = {name: part for name, part in members.items() if part not in (None, "")}
    return {**inner, **_with_display(given)}


def role_in(text: object) -> dict[str, Any] | None:
    """The role in a JSON text, with names in lower case; None if the text holds no role."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return None
    if len(text) > MAX_TEXT_BYTES:  # refused later, as any text of this size
        return None
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    members = {name.lower(): part for name, part in document.items()}
    if "value" not in members and _DISPLAY_NAME not in members:
        return None
    value = members.get("value")
    if isinstance(value, str):
        members["value"] = role_value(value)  # a canonical role holds no further text
    return _with_display(members)


def role_value(text: str) -> str:
    """The value of the role in a JSON text; any other text unchanged."""
    role = role_in(text)
    value = role.get("value") if role else None
    return value if isinstance(value, str) else text


def _with_display(members: dict[str, Any]) -> dict[str, Any]:
    """The members with `displayName`, which Entra sends, as `display`."""
    display = members.pop(_DISPLAY_NAME, None)
    return members if display is None else {_DISPLAY: display, **members}
