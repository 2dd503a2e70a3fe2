"""The checks of a request, each passed, failed or not reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloudacademy.users.v1.activity_pb2 import Activity, RefusedRequest


class Outcome(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its result."""

    title: str
    outcome: Outcome


_TITLES: Final = (
    "API key is valid",
    "Integration is active",
    "Request is valid SCIM",
    "Person or group exists",
    "Values are valid",
    "No conflict with other data",
    "Change saved",
)
_KEY, _ACTIVE, _SYNTAX, _EXISTS, _VALUES, _CONFLICT, _SAVED = range(len(_TITLES))

_BY_REASON: Final[Mapping[str, int]] = {
    "KEY_EXPIRED": _KEY,
    "KEY_REVOKED": _KEY,
    "INTEGRATION_INACTIVE": _ACTIVE,
    "USER_NOT_FOUND": _EXISTS,
    "GROUP_NOT_FOUND": _EXISTS,
    "MEMBER_NOT_FOUND": _VALUES,
    "GROUP_CYCLE": _VALUES,
    "USER_NAME_TAKEN": _CONFLICT,
    "ETAG_MISMATCH": _CONFLICT,
}
_BY_SCIM_TYPE: Final[Mapping[str, int]] = {
    "invalidValue": _VALUES,
    "mutability": _VALUES,
    "uniqueness": _CONFLICT,
}
_BY_STATUS: Final[Mapping[int, int]] = {401: _KEY, 404: _EXISTS, 409: _CONFLICT, 412: _CONFLICT}


def checks(activity: Activity) -> list[Check]:
    """All checks, in order."""
    failed = _failed_index(activity.refusal) if activity.refused else len(_TITLES)
    return [Check(title, _outcome(index, failed)) for index, title in enumerate(_TITLES)]


def _outcome(index: int, failed: int) -> Outcome:
    if index == failed:
        return Outcome.FAILED
    return Outcome.PASSED if index < failed else Outcome.NOT_REACHED


def _failed_index(refusal: RefusedRequest) -> int:
    for table, key in ((_BY_REASON, refusal.reason), (_BY_SCIM_TYPE, refusal.error_type)):
        if key in table:
            return table[key]
    if refusal.status >= 500:
        return _SAVED
    return _BY_STATUS.get(refusal.status, _SYNTAX)
