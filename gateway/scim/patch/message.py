"""The PatchOp message (RFC 7644 section 3.5.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.scim import resource as resources
from gateway.scim.errors import ScimError, describe, invalid_path, invalid_syntax, invalid_value
from gateway.scim.values import Json

PATCH_OP_URN: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MAX_OPERATIONS: Final = 1000


class Op(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


_OPS: Final = {each.value: each for each in Op}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the client sent it; `value` is None if it is null or missing."""

    op: Op
    path: str | None
    value: Json = None


def parse(body: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Parse a PatchOp message; an empty array is valid, because Entra's validator sends it.

    Refuses a missing Operations array, the `schemas` of another message or an unknown op
    (invalidSyntax), an add or replace without a value (invalidValue), a path of another type
    (invalidPath), and too many operations (413).
    """
    message = resources.lower_keys(body, "The PATCH")
    resources.check_schemas(message, PATCH_OP_URN)
    operations = message.get("operations")
    if not isinstance(operations, list):
        raise invalid_syntax("The PATCH has no Operations. Send an array of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise ScimError(
            413,
            None,
            f"The PATCH has {len(operations)} operations; send at most {MAX_OPERATIONS} at once.",
        )
    return tuple(_operation(each) for each in operations)


def _operation(document: object) -> Operation:
    if not isinstance(document, dict):
        raise invalid_syntax(f"An operation is {describe(document)}; send an object with an op.")
    members = resources.lower_keys(document, "An operation of the PATCH")
    name = members.get("op")
    op = _OPS.get(name.strip().lower()) if isinstance(name, str) else None
    if op is None:
        raise invalid_syntax(f"The op {describe(name)} is unknown; send add, remove or replace.")
    path = members.get("path")
    if path is not None and not isinstance(path, str):
        raise invalid_path(f"The path is {describe(path)}; send a string.")
    if op is not Op.REMOVE and "value" not in members:
        raise invalid_value(f"The operation {op} {describe(path)} has no value; send one.")
    return Operation(op, path.strip() or None if path else None, members.get("value"))
