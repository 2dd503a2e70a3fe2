"""What an operation of a bulk request reads and changes, as far as other operations can notice.

Two operations conflict if they access the same subject, unless both use the same shared mode.
Operations that do not conflict have the same results, and leave the same resources, in either
order. Where a request does not show what an operation changes, its accesses cover all
possibilities: a PUT or DELETE of a user does not name the userName that it frees.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, Final, TypeAlias

from gateway.scim.bulk import references
from gateway.scim.bulk.request import Operation
from gateway.scim.case_folding import fold


class Mode(Enum):
    """How a subject is accessed. All modes except EXCLUSIVE are shared."""

    EXCLUSIVE = auto()
    REFER = auto()
    """Refers to a resource that the request creates, or to the organization."""
    CLAIM = auto()
    """Takes a user name that the request shows."""
    FREE = auto()
    """Gives up a user name that the request does not show."""
    CREATE = auto()
    SHRINK = auto()
    """Removes a deleted user from groups."""
    READ = auto()
    CHANGE = auto()


Accesses: TypeAlias = Mapping[str, Mode]
"""Subject → mode."""

_ORGANIZATION: Final = "organization"
"""All resources: an operation whose path is not understood here has exclusive access."""
_USER_NAMES: Final = "userNames"
"""All user names, which are unique: claimed by a new user, freed with a deleted one."""
_GROUPS: Final = "groups"
"""All groups, their members and versions: nesting is refused if it forms a cycle, and the deletion
of a user shrinks groups that the request does not name. A new group is in no other group."""
_MEMBER_NAMES: Final = "memberNames"
"""The names of users as members of groups, which a filter in a PATCH of a group may read."""

EXCLUSIVE: Final[Accesses] = {_ORGANIZATION: Mode.EXCLUSIVE}
"""The accesses of an operation that conflicts with every other one."""

_TARGET: Final = re.compile(r"/(Users|Groups)(?:/(bulkId:[^/]+|[0-9A-Za-z-]+))?/*")
# Attribute names have ASCII letters in any case, so a PATCH of userName contains this text. A PATCH
# that contains it elsewhere is only run with less concurrency.
_USER_NAME: Final = "username"
_MEMBER_DISPLAY: Final = re.compile(rb"display(?!name)")


def accesses(operation: Operation, body: bytes) -> Accesses:
    """The accesses of an operation, whose data is `body` as JSON."""
    if operation.refusal is not None:
        return {}  # it is never executed
    target = _TARGET.fullmatch(operation.path)
    if target is None:
        return EXCLUSIVE
    endpoint, resource_id = target.groups()
    of_type = _user_accesses if endpoint == "Users" else _group_accesses
    found = {
        _ORGANIZATION: Mode.REFER,
        **{_creation(name): Mode.REFER for name in operation.references},
        **of_type(operation, body.lower()),
    }
    if resource_id:
        found[f"id:{resource_id.lower()}"] = Mode.EXCLUSIVE
    if operation.creates is not None:
        found[_creation(operation.creates)] = Mode.EXCLUSIVE
    return found


def _creation(bulk_id: str) -> str:
    return f"bulkId:{bulk_id}"


def _user_accesses(operation: Operation, lower_body: bytes) -> dict[str, Mode]:
    match operation.method:
        case "POST":
            return _claims(operation.data or {})
        case "DELETE":
            return {_USER_NAMES: Mode.FREE, _GROUPS: Mode.SHRINK}
        case "PATCH" if _USER_NAME.encode() not in lower_body:
            return {_MEMBER_NAMES: Mode.CHANGE}
        case _:
            return {_MEMBER_NAMES: Mode.CHANGE, _USER_NAMES: Mode.EXCLUSIVE}


def _claims(data: Mapping[str, Any]) -> dict[str, Mode]:
    """The accesses of a new user to user names."""
    names = list(_user_names(data))
    if not names or not all(isinstance(each, str) for each in names) or references.in_data(names):
        return {_USER_NAMES: Mode.EXCLUSIVE}
    return {_USER_NAMES: Mode.CLAIM, **{f"userName:{fold(n)}": Mode.EXCLUSIVE for n in names}}


def _user_names(data: Mapping[str, Any]) -> Iterator[Any]:
    """The values of userName, which may be spelled with its URN or be in an object of the URN."""
    for key, value in data.items():
        if _USER_NAME in key.lower():
            yield value
        elif isinstance(value, dict):
            yield from (inner for name, inner in value.items() if _USER_NAME in name.lower())


def _group_accesses(operation: Operation, lower_body: bytes) -> dict[str, Mode]:
    if operation.method == "POST":
        return {_GROUPS: Mode.CREATE}
    if operation.method == "PATCH" and _MEMBER_DISPLAY.search(lower_body):
        return {_GROUPS: Mode.EXCLUSIVE, _MEMBER_NAMES: Mode.READ}
    return {_GROUPS: Mode.EXCLUSIVE}
