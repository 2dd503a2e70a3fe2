"""Activities: the entries of the provisioning log, which administrators read in the portal.

An entry is a change of a user or group, or a request that was refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from typing import Final
from urllib.parse import unquote_plus
from uuid import UUID

from chassis.errors import InvalidField
from usersvc.domain import limits
from usersvc.domain.changes import ChangeType

MAX_RECORDED: Final = 100
MAX_RETURNED_MEMBERS: Final = 100
MAX_TEXT: Final = 200
MAX_CLIENT: Final = 40
MAX_HOURS: Final = 31 * 24
MAX_DAYS: Final = 400
CYCLE_PERIOD: Final = timedelta(days=7)
"""How long provisioning cycles are shown."""


class Action(IntEnum):
    """What a request did or tried to do. The numbers are those of the `refusals` table."""

    CREATE_USER = 1
    UPDATE_USER = 2
    DISABLE_USER = 3
    RESTORE_USER = 4
    DELETE_USER = 5
    CREATE_GROUP = 6
    UPDATE_GROUP = 7
    DELETE_GROUP = 8
    ADD_MEMBERS = 9
    REMOVE_MEMBERS = 10
    AUTHENTICATE = 11
    OTHER = 12


ACTION_OF_CHANGE: Final = {
    ChangeType.USER_CREATED: Action.CREATE_USER,
    ChangeType.USER_UPDATED: Action.UPDATE_USER,
    ChangeType.USER_ACTIVATED: Action.RESTORE_USER,
    ChangeType.USER_DEACTIVATED: Action.DISABLE_USER,
    ChangeType.USER_DELETED: Action.DELETE_USER,
    ChangeType.GROUP_CREATED: Action.CREATE_GROUP,
    ChangeType.GROUP_UPDATED: Action.UPDATE_GROUP,
    ChangeType.GROUP_DELETED: Action.DELETE_GROUP,
    ChangeType.MEMBERS_ADDED: Action.ADD_MEMBERS,
    ChangeType.MEMBERS_REMOVED: Action.REMOVE_MEMBERS,
}
"""The action that the log shows for each type of change."""


class Result(Enum):
    """The results that a query asks for."""

    ANY = 0
    SUCCESS = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field with its old and new value. None means unassigned, or erased."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A user or group. The name is empty if the user or group no longer exists."""

    resource_id: UUID
    name: str = ""
    is_group: bool = False


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that was refused, with the error response that it got."""

    method: str
    target: str
    body: str
    status: int
    error_type: str
    detail: str
    reason: str
    client_address: str


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry of the provisioning log."""

    organization_id: UUID
    number: int
    time: datetime
    action: Action
    resource_id: UUID | None
    resource_name: str
    request_id: str
    key_id: UUID | None
    client: str = ""
    """The name of the client application. It rests on the client's own claims."""
    fields: tuple[FieldChange, ...] = ()
    members: tuple[Reference, ...] = ()
    member_count: int = 0
    last_administrator_lost: bool = False
    refusal: RefusedRequest | None = None
    report_id: UUID | None = None
    """The idempotency key of a reported refusal: a repeated report adds no entry."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which activities of an organization to read, newest first."""

    organization_id: UUID
    size: int
    resource_id: UUID | None = None
    text: str = ""
    actions: frozenset[Action] = frozenset()
    result: Result = Result.ANY
    request_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    after: int | None = None
    """The number of the last activity of the previous page."""

    @property
    def is_scan(self) -> bool:
        """Whether no index serves this query."""
        return bool(self.request_id)


@dataclass(frozen=True, slots=True)
class Count:
    """The number of activities in one hour or day."""

    start_time: datetime
    succeeded: int = 0
    refused: int = 0
    rejected_keys: int = 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """A provisioning cycle: a run of activities without a pause of ten minutes."""

    start_time: datetime
    end_time: datetime
    succeeded: int
    refused: int


class Width(Enum):
    """The interval of a count. The values are PostgreSQL's names for `date_trunc`."""

    HOUR = "hour"
    DAY = "day"

    @property
    def duration(self) -> timedelta:
        """The length of the interval."""
        return timedelta(hours=1) if self is Width.HOUR else timedelta(days=1)


_LIMITS: Final = {
    "method": 20, "target": 2_000, "body": 4_096, "error_type": 40, "detail": 4_000,
    "reason": 60, "client_address": 100,
}  # fmt: skip


_TEXT: Final = re.compile(r'"([^"\\]{1,256})"')
MAX_MENTIONS: Final = 100


def mentions(activity: Activity) -> list[str]:
    """The quoted texts of a refused request, and the name of its resource.

    An erasure of a person finds refusals by these texts.
    """
    if activity.refusal is None:
        return []
    refusal = activity.refusal
    found = _TEXT.findall(f"{refusal.body} {unquote_plus(refusal.target)}")[:MAX_MENTIONS]
    return [*found, *filter(None, [activity.resource_name])]


def check(activity: Activity) -> None:
    """Refuse (InvalidField) a refused request that cannot be recorded."""
    if activity.refusal is None:
        raise InvalidField("activities", "contains an activity without a refusal")
    for name, limit in _LIMITS.items():
        text = getattr(activity.refusal, name)
        limits.check(f"refusal.{name}", text, limit * 4)
        if len(text) > limit:
            raise InvalidField(f"refusal.{name}", f"is longer than {limit:,} characters")
    limits.check("resource_name", activity.resource_name, limits.MAX_KEY_BYTES)
    limits.check("request_id", activity.request_id, 100)
    limits.check("client", activity.client, MAX_CLIENT)


def check_span(start: datetime, end: datetime, width: Width) -> None:
    """Refuse (InvalidField) a time span that is empty, negative, or has too many intervals."""
    limit = MAX_HOURS if width is Width.HOUR else MAX_DAYS
    if not timedelta() < end - start <= limit * width.duration:
        raise InvalidField(
            "end_time", f"must be after start_time, by at most {limit} {width.value}s"
        )


def interval_start(time: datetime, width: Width) -> datetime:
    """The start of the hour or day of a time, in UTC."""
    start = time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return start.replace(hour=0) if width is Width.DAY else start


def fill_gaps(counts: Sequence[Count], start: datetime, end: datetime, width: Width) -> list[Count]:
    """Add a zero count for every hour or day of the span that has none."""
    by_time = {count.start_time: count for count in counts}
    time = interval_start(start, width)
    complete = []
    while time < end:
        complete.append(by_time.get(time) or Count(time))
        time += width.duration
    return complete
