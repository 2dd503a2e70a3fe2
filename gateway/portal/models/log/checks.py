"""The checks that a request went through, up to the one that refused it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloudacademy.users.v1.activity_pb2 import Activity, RefusedRequest


class Outcome(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Check:
    """One check, as a question answered."""

    title: str
    outcome: Outcome


_TITLES: Final = (
    "The API key works",
    "The integration is active",
    "The request is SCIM that we understand",
    "Whom it is about is here",
    "All values can be taken",
    "It does not collide with others",
    "It was stored",
)
_KEY, _ACTIVE, _UNDERSTOOD, _FOUND, _VALUES, _ALONE, _STORED = range(len(_TITLES))

_BY_REASON: Final[Mapping[str, int]] = {
    "KEY_EXPIRED": _KEY,
    "KEY_REVOKED": _KEY,
    "INTEGRATION_INACTIVE": _ACTIVE,
    "USER_NOT_FOUND": _FOUND,
    "GROUP_NOT_FOUND": _FOUND,
    "MEMBER_NOT_FOUND": _VALUES,
    "GROUP_CYCLE": _VALUES,
    "USER_NAME_TAKEN": _ALONE,
    "ETAG_MISMATCH": _ALONE,
}
_BY_SCIM_TYPE: Final[Mapping[str, int]] = {
    "invalidValue": _VALUES,
    "mutability": _VALUES,
    "uniqueness": _ALONE,
}
_BY_STATUS: Final[Mapping[int, int]] = {401: _KEY, 404: _FOUND, 409: _ALONE, 412: _ALONE}


def checks(activity: Activity) -> list[Check]:
    """Every check in its order."""
    failed = _failed(activity.refusal) if activity.refused else len(_TITLES)
    return [Check(title, _outcome(index, failed)) for index, title in enumerate(_TITLES)]


def _outcome(index: int, failed: int) -> Outcome:
    if index == failed:
        return Outcome.FAILED
    return Outcome.PASSED if index < failed else Outcome.NOT_REACHED


def _failed(refusal: RefusedRequest) -> int:
    for table, key in ((_BY_REASON, refusal.reason), (_BY_SCIM_TYPE, refusal.error_type)):
        if key in table:
            return table[key]
    if refusal.status >= 500:
        return _STORED
    return _BY_STATUS.get(refusal.status, _UNDERSTOOD)
