"""The two forms of PATCH that Entra sends; one tenant can send both."""

from collections.abc import Container, Mapping
from enum import StrEnum
from typing import Any

from tools.entra.mapping import Value

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Dialect(StrEnum):
    """Verbose is Entra's default; compact is sent with the flag aadOptscim062020."""

    VERBOSE = "verbose"
    COMPACT = "compact"
    MIXED = "mixed"


def patch(dialect: Dialect, values: Mapping[str, Value], present: Container[str]) -> dict[str, Any]:
    """The PATCH body that sets these values; `present` are the paths with a current value."""
    operations = verbose if dialect is Dialect.VERBOSE else compact
    return {"schemas": [PATCH_OP], "Operations": operations(values, present)}


def verbose(values: Mapping[str, Value], present: Container[str]) -> list[dict[str, Any]]:
    """One capitalized operation per attribute; booleans are the strings "True" and "False"."""
    return [
        {
            "op": "Replace" if path in present else "Add",
            "path": path,
            "value": str(value) if isinstance(value, bool) else value,
        }
        for path, value in values.items()
    ]


def compact(values: Mapping[str, Value], present: Container[str]) -> list[dict[str, Any]]:
    """Value paths one by one, then one path-less operation per op with flat, dotted keys."""
    operations: list[dict[str, Any]] = [
        {"op": _op(path, present), "path": path, "value": value}
        for path, value in values.items()
        if "[" in path
    ]
    for op in ("add", "replace"):
        flat = {p: v for p, v in values.items() if "[" not in p and _op(p, present) == op}
        if flat:
            operations.append({"op": op, "value": flat})
    return operations


def membership(dialect: Dialect, user_id: str, *, joins: bool) -> dict[str, Any]:
    """The PATCH body that adds a member to a group or removes one.

    The verbose removal names the member in `value`. RFC 7644 would read it as the removal of all
    members, which Entra never means.
    """
    if dialect is Dialect.VERBOSE:
        member = [{"$ref": None, "value": user_id}]
        operation = {"op": "Add" if joins else "Remove", "path": "members", "value": member}
    elif joins:
        operation = {"op": "add", "path": "members", "value": [{"value": user_id}]}
    else:
        operation = {"op": "remove", "path": f'members[value eq "{user_id}"]'}
    return {"schemas": [PATCH_OP], "Operations": [operation]}


def dialect_for(dialect: Dialect, number: int) -> Dialect:
    """The form for one person: MIXED alternates by number."""
    if dialect is not Dialect.MIXED:
        return dialect
    return Dialect.COMPACT if number % 2 else Dialect.VERBOSE


def _op(path: str, present: Container[str]) -> str:
    return "replace" if path in present else "add"
