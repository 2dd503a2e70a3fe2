"""The ActivityService of the contract."""

from datetime import timedelta
from typing import Any, Final, TypeAlias

import grpc
from cloudacademy.users.v1 import activity_pb2, activity_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain import activities
from usersvc.domain.activities import Activity, Width
from usersvc.rpc import page_tokens as page_token
from usersvc.rpc.convert import activity as wire_activity
from usersvc.rpc.convert import listing as wire_list
from usersvc.store.activities import ActivityStore

MAX_CYCLES: Final = 100
DEFAULT_CYCLES: Final = 10
CYCLES_BEFORE: Final = timedelta(days=7)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ActivitiesServicer(activity_pb2_grpc.ActivityServiceServicer):
    """Turns requests into values, has the store do the work, and turns the outcome back."""

    def __init__(self, store: ActivityStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def RecordRefusals(  # noqa: N802 - the contract's name
        self, request: activity_pb2.RecordRefusalsRequest, context: Context
    ) -> activity_pb2.RecordRefusalsResponse:
        """Add refused requests."""
        if len(request.activities) > activities.MAX_RECORDED:
            raise InvalidField("activities", f"are more than {activities.MAX_RECORDED}")
        await self._store.record([wire_activity.to_refused(each) for each in request.activities])
        return activity_pb2.RecordRefusalsResponse()

    async def ListActivities(  # noqa: N802
        self, request: activity_pb2.ListActivitiesRequest, context: Context
    ) -> activity_pb2.ListActivitiesResponse:
        """Read a page of the log."""
        digest = _digest(request)
        after = page_token.decode_time(request.page_token, digest) if request.page_token else None
        query = wire_activity.to_query(request, after)
        found = await self._store.page(query)
        messages = [wire_activity.from_activity(each) for each in found[: query.size]]
        count = wire_list.fitting(messages)
        response = activity_pb2.ListActivitiesResponse(activities=messages[:count])
        if count < len(found):
            response.next_page_token = _token(digest, found[count - 1])
        return response

    async def GetActivity(  # noqa: N802
        self, request: activity_pb2.GetActivityRequest, context: Context
    ) -> activity_pb2.GetActivityResponse:
        """Read one entry."""
        organization_id = read_uuid("organization_id", request.organization_id)
        activity = await self._store.get(organization_id, wire_activity.to_number(request.id))
        return activity_pb2.GetActivityResponse(activity=wire_activity.from_activity(activity))

    async def CountActivities(  # noqa: N802
        self, request: activity_pb2.CountActivitiesRequest, context: Context
    ) -> activity_pb2.CountActivitiesResponse:
        """Count by hours or days."""
        organization_id = read_uuid("organization_id", request.organization_id)
        is_day = request.width == activity_pb2.CountActivitiesRequest.WIDTH_DAY
        width = Width.DAY if is_day else Width.HOUR
        start = wire_activity.to_time("start_time", request.start_time)
        end = wire_activity.to_time("end_time", request.end_time)
        activities.check_span(start, end, width)
        counts = await self._store.count(organization_id, start, end, width)
        filled = activities.filled(counts, start, end, width)
        return activity_pb2.CountActivitiesResponse(
            counts=[wire_activity.from_count(each) for each in filled]
        )

    async def ListCycles(  # noqa: N802
        self, request: activity_pb2.ListCyclesRequest, context: Context
    ) -> activity_pb2.ListCyclesResponse:
        """Read the cycles of the last days."""
        organization_id = read_uuid("organization_id", request.organization_id)
        size = wire_list.not_negative("page_size", request.page_size) or DEFAULT_CYCLES
        if size > MAX_CYCLES:
            raise InvalidField("page_size", f"is more than {MAX_CYCLES}")
        since = self._clock() - CYCLES_BEFORE
        cycles = await self._store.cycles(organization_id, since, size)
        return activity_pb2.ListCyclesResponse(
            cycles=[wire_activity.from_cycle(each) for each in cycles]
        )


def _digest(request: activity_pb2.ListActivitiesRequest) -> str:
    """What the tokens of this very list are recognized by."""
    query = activity_pb2.ListActivitiesRequest()
    query.CopyFrom(request)
    query.page_token = ""
    query.page_size = 0
    return page_token.digest(b"activities", query.SerializeToString(deterministic=True))


def _token(digest: str, last: Activity) -> str:
    return page_token.encode_time(digest, last.time, last.number)
