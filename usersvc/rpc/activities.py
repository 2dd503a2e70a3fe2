"""The servicer of ActivityService."""

from datetime import datetime
from typing import Any, Final, TypeAlias

import grpc
from cloudacademy.users.v1 import activity_pb2, activity_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.timestamps import read_time
from chassis.rpc.uuids import read_uuid
from usersvc.domain import activities
from usersvc.domain.activities import Activity, Width
from usersvc.domain.changes import RETENTION
from usersvc.rpc import page_tokens
from usersvc.rpc.convert.activity import (
    from_activity,
    from_count,
    from_cycle,
    to_number,
    to_query,
    to_refused,
)
from usersvc.rpc.convert.listing import fitting, not_negative
from usersvc.store.activities.counts import ActivityCounts
from usersvc.store.activities.log import ActivityStore
from usersvc.store.activities.refusals import RefusalStore

MAX_CYCLES: Final = 100
DEFAULT_CYCLES: Final = 10

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ActivityServicer(activity_pb2_grpc.ActivityServiceServicer):
    """Converts requests to domain values, calls the store, and converts the results to messages."""

    def __init__(
        self, log: ActivityStore, counts: ActivityCounts, refusals: RefusalStore, clock: Clock
    ) -> None:
        self._log = log
        self._counts = counts
        self._refusals = refusals
        self._clock = clock

    @property
    def _oldest(self) -> datetime:
        """The time of the oldest entry that is shown: retention deletes some entries later."""
        return self._clock() - RETENTION

    async def RecordRefusals(  # noqa: N802 - the name in the proto file
        self, request: activity_pb2.RecordRefusalsRequest, context: Context
    ) -> activity_pb2.RecordRefusalsResponse:
        """Add refused requests to the log."""
        if len(request.activities) > activities.MAX_RECORDED:
            raise InvalidField("activities", f"has more than {activities.MAX_RECORDED} elements")
        await self._refusals.record([to_refused(each) for each in request.activities])
        return activity_pb2.RecordRefusalsResponse()

    async def ListActivities(  # noqa: N802
        self, request: activity_pb2.ListActivitiesRequest, context: Context
    ) -> activity_pb2.ListActivitiesResponse:
        """Read a page of the log."""
        digest = _digest(request)
        after = (
            page_tokens.decode_number(request.page_token, digest) if request.page_token else None
        )
        query = to_query(request, after, self._oldest)
        found = await self._log.page(query)
        messages = [from_activity(each) for each in found[: query.size]]
        count = fitting(messages)
        response = activity_pb2.ListActivitiesResponse(activities=messages[:count])
        if count < len(found):
            response.next_page_token = _token(digest, found[count - 1])
        return response

    async def GetActivity(  # noqa: N802
        self, request: activity_pb2.GetActivityRequest, context: Context
    ) -> activity_pb2.GetActivityResponse:
        """Read one entry."""
        organization_id = read_uuid("organization_id", request.organization_id)
        activity = await self._log.get(organization_id, to_number(request.id), self._oldest)
        return activity_pb2.GetActivityResponse(activity=from_activity(activity))

    async def CountActivities(  # noqa: N802
        self, request: activity_pb2.CountActivitiesRequest, context: Context
    ) -> activity_pb2.CountActivitiesResponse:
        """Count the log entries of each hour or day."""
        organization_id = read_uuid("organization_id", request.organization_id)
        is_day = request.width == activity_pb2.CountActivitiesRequest.WIDTH_DAY
        width = Width.DAY if is_day else Width.HOUR
        start = read_time("start_time", request.start_time)
        end = read_time("end_time", request.end_time)
        activities.check_span(start, end, width)
        shown_start = max(activities.interval_start(start, width), self._oldest)
        since = activities.interval_start(shown_start, Width.HOUR)
        counts = await self._counts.count(organization_id, since, end, width)
        counted = activities.fill_gaps(counts, start, end, width)
        return activity_pb2.CountActivitiesResponse(counts=[from_count(each) for each in counted])

    async def ListCycles(  # noqa: N802
        self, request: activity_pb2.ListCyclesRequest, context: Context
    ) -> activity_pb2.ListCyclesResponse:
        """Read the cycles of the last days."""
        organization_id = read_uuid("organization_id", request.organization_id)
        size = not_negative("page_size", request.page_size) or DEFAULT_CYCLES
        if size > MAX_CYCLES:
            raise InvalidField("page_size", f"is more than {MAX_CYCLES}")
        since = self._clock() - activities.CYCLE_PERIOD
        cycles = await self._counts.cycles(organization_id, since, size)
        return activity_pb2.ListCyclesResponse(cycles=[from_cycle(each) for each in cycles])


def _digest(request: activity_pb2.ListActivitiesRequest) -> str:
    """The digest that identifies the query in its page tokens."""
    query = activity_pb2.ListActivitiesRequest()
    query.CopyFrom(request)
    query.page_token = ""
    query.page_size = 0
    return page_tokens.digest(b"activities", query.SerializeToString(deterministic=True))


def _token(digest: str, last: Activity) -> str:
    return page_tokens.encode_number(digest, last.number)
