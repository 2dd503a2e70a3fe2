"""Valid requests of the maximum size, which must not stall others either."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tools.stall.parties import ATTRIBUTES, SCHEMAS, Attacker

Valid = Callable[[Attacker], Callable[[int], bytes]]

_MEMBER_BYTES: Final = 52


def _members(wrap: Callable[[list[dict[str, str]]], Any]) -> Valid:
    def of(attacker: Attacker) -> Callable[[int], bytes]:
        def body(size: int) -> bytes:
            ids = attacker.user_ids[: max(1, size // _MEMBER_BYTES)]
            return json.dumps(wrap([{"value": each} for each in ids])).encode()

        return body

    return of


def _operation(**operation: Any) -> dict[str, Any]:
    return {"Operations": [operation]}


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


_GROUP: Final = {"displayName": "Valid"}

VALID: Final[Mapping[tuple[str, str], Mapping[str, Valid]]] = {
    ("POST", "/Users"): {"a person with every attribute": lambda _: _person},
    ("PUT", "/Users/{id}"): {"a person with every attribute": lambda _: _person},
    ("POST", "/Groups"): {"20,000 members": _members(lambda them: {**_GROUP, "members": them})},
    ("PUT", "/Groups/{id}"): {"20,000 members": _members(lambda them: {**_GROUP, "members": them})},
    ("PATCH", "/Groups/{id}"): {
        "20,000 members added": _members(lambda t: _operation(op="add", path="members", value=t)),
        "20,000 members removed": _members(
            lambda t: _operation(op="remove", path="members", value=t)
        ),
        "20,000 members replaced": _members(
            lambda t: _operation(op="replace", path="members", value=t)
        ),
    },
}
"""By method and path below the Tenant URL."""
