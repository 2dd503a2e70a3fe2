"""Valid requests of the maximum size, which must not stall others either."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from tools.stall.parties import ATTRIBUTES, SCHEMAS, Attacker

Valid = Callable[[Attacker], Callable[[int], bytes]]

_MEMBER_BYTES: Final = 52


def _members(document: Callable[[list[dict[str, str]]], Any]) -> Valid:
    def body_for(attacker: Attacker) -> Callable[[int], bytes]:
        def body(size: int) -> bytes:
            ids = attacker.user_ids[: max(1, size // _MEMBER_BYTES)]
            return json.dumps(document([{"value": each} for each in ids])).encode()

        return body

    return body_for


def _group(members: list[dict[str, str]]) -> dict[str, Any]:
    return {"displayName": "Valid", "members": members}


def _member_operation(op: str, members: list[dict[str, str]]) -> dict[str, Any]:
    return {"Operations": [{"op": op, "path": "members", "value": members}]}


def _person(size: int) -> bytes:
    """250 e-mail addresses, and as many custom attributes as fit."""
    left = max(0, size - 40_000)
    values = ["v" * 20] * 20
    extensions = {}
    for number in range(SCHEMAS):
        count = min(ATTRIBUTES, left // SCHEMAS // 500)
        extensions[f"urn:attacker:{number}"] = {f"a{each}": values for each in range(count)}
    emails = [{"value": f"{n}@a.test", "type": "work", "display": "d" * 40} for n in range(250)]
    return json.dumps({"userName": "valid@a.test", "emails": emails, **extensions}).encode()


VALID: Final[Mapping[tuple[str, str], Mapping[str, Valid]]] = {
    ("POST", "/Users"): {"a person with every attribute": lambda _: _person},
    ("PUT", "/Users/{id}"): {"a person with every attribute": lambda _: _person},
    ("POST", "/Groups"): {"20,000 members": _members(_group)},
    ("PUT", "/Groups/{id}"): {"20,000 members": _members(_group)},
    ("PATCH", "/Groups/{id}"): {
        "20,000 members added": _members(partial(_member_operation, "add")),
        "20,000 members removed": _members(partial(_member_operation, "remove")),
        "20,000 members replaced": _members(partial(_member_operation, "replace")),
    },
}
"""By method and path below the Tenant URL."""
