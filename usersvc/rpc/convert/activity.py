"""Conversion between messages and domain values of the provisioning log."""

from datetime import datetime
from typing import Any, Final

from cloudacademy.users.v1 import activity_pb2

from chassis.errors import InvalidField, Refusal
from chassis.rpc.timestamps import read_time, to_timestamp
from chassis.rpc.uuids import read_uuid
from usersvc.domain import activities
from usersvc.domain.activities import Action, Activity, Count, Cycle, Query, RefusedRequest, Result
from usersvc.domain.errors import ACTIVITY_NOT_FOUND
from usersvc.rpc.convert.listing import not_negative
from usersvc.rpc.convert.user import MAX_REQUEST_ID

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1_000

_ACTIONS: Final[dict[Action, Any]] = {
    each: activity_pb2.Activity.Action.Value(f"ACTION_{each.name}") for each in Action
}
_TO_ACTION: Final = {value: action for action, value in _ACTIONS.items()}


def to_number(text: str) -> int:
    """The number of a log entry from its id. Refuses ACTIVITY_NOT_FOUND for any other text."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refusal(ACTIVITY_NOT_FOUND)
    return int(text)


def to_refused(message: activity_pb2.Activity) -> Activity:
    """The log entry of a refused request. Refuses InvalidField."""
    refusal = message.refusal
    activity = Activity(
        organization_id=read_uuid("organization_id", message.organization_id),
        number=0,
        time=read_time("time", message.time),
        action=_TO_ACTION.get(message.action, Action.OTHER),
        resource_id=(
            read_uuid("resource_id", message.resource_id) if message.resource_id else None
        ),
        resource_name=message.resource_name,
        request_id=message.request_id,
        key_id=read_uuid("key_id", message.key_id) if message.key_id else None,
        client=message.client,
        refusal=RefusedRequest(
            refusal.method,
            refusal.target,
            refusal.body,
            refusal.status,
            refusal.error_type,
            refusal.detail,
            refusal.reason,
            refusal.client_address,
        ),
        report_id=read_uuid("report_id", message.report_id) if message.report_id else None,
    )
    activities.check(activity)
    return activity


def to_query(
    request: activity_pb2.ListActivitiesRequest, after: int | None, oldest: datetime
) -> Query:
    """The query of a list request, limited to entries since `oldest`. Refuses InvalidField."""
    if len(request.text) > activities.MAX_TEXT or "\0" in request.text:
        raise InvalidField(
            "text", f"is longer than {activities.MAX_TEXT} characters, or contains a NUL character"
        )
    if len(request.request_id) > MAX_REQUEST_ID or "\0" in request.request_id:
        raise InvalidField("request_id", "is not a valid request id")
    size = not_negative("page_size", request.page_size) or DEFAULT_PAGE_SIZE
    return Query(
        organization_id=read_uuid("organization_id", request.organization_id),
        size=min(size, MAX_PAGE_SIZE),
        resource_id=(
            read_uuid("resource_id", request.resource_id) if request.resource_id else None
        ),
        text=request.text,
        actions=frozenset(_action(value) for value in request.actions),
        result=Result(request.result) if request.result <= Result.REFUSED.value else Result.ANY,
        request_id=request.request_id,
        start_time=max(_optional_time("start_time", request) or oldest, oldest),
        end_time=_optional_time("end_time", request),
        after=after,
    )


def _action(value: int) -> Action:
    action = _TO_ACTION.get(value)
    if action is None:
        raise InvalidField("actions", "contains an unknown action")
    return action


def _optional_time(field: str, request: activity_pb2.ListActivitiesRequest) -> datetime | None:
    return read_time(field, getattr(request, field)) if request.HasField(field) else None


def from_activity(activity: Activity) -> activity_pb2.Activity:
    """A log entry as a message."""
    message = activity_pb2.Activity(
        id=str(activity.number),
        organization_id=str(activity.organization_id),
        time=to_timestamp(activity.time),
        action=_ACTIONS[activity.action],
        refused=activity.refusal is not None,
        resource_id=str(activity.resource_id or ""),
        resource_name=activity.resource_name,
        fields=[
            activity_pb2.FieldChange(
                field=each.field, old_value=each.old or "", new_value=each.new or ""
            )
            for each in activity.fields
        ],
        members=[
            activity_pb2.Reference(id=str(each.resource_id), name=each.name, group=each.is_group)
            for each in activity.members
        ],
        member_count=activity.member_count,
        request_id=activity.request_id,
        key_id=str(activity.key_id or ""),
        client=activity.client,
        last_administrator_lost=activity.last_administrator_lost,
    )
    if activity.refusal is not None:
        message.refusal.CopyFrom(_from_refusal(activity.refusal))
    return message


def _from_refusal(refusal: RefusedRequest) -> activity_pb2.RefusedRequest:
    return activity_pb2.RefusedRequest(
        method=refusal.method,
        target=refusal.target,
        body=refusal.body,
        status=refusal.status,
        error_type=refusal.error_type,
        detail=refusal.detail,
        reason=refusal.reason,
        client_address=refusal.client_address,
    )


def from_count(count: Count) -> activity_pb2.ActivityCount:
    """A count as a message."""
    return activity_pb2.ActivityCount(
        start_time=to_timestamp(count.start_time),
        succeeded=count.succeeded,
        refused=count.refused,
        rejected_keys=count.rejected_keys,
    )


def from_cycle(cycle: Cycle) -> activity_pb2.Cycle:
    """A cycle as a message."""
    return activity_pb2.Cycle(
        start_time=to_timestamp(cycle.start_time),
        end_time=to_timestamp(cycle.end_time),
        succeeded=cycle.succeeded,
        refused=cycle.refused,
    )
