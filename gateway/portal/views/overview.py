"""How provisioning is: what several pages begin with."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudacademy.keys.v1 import keys_pb2
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal.models import health as model
from gateway.portal.models.charts import Chart, days_chart, hours_chart
from gateway.portal.models.key_rows import KeyRow, key_rows
from gateway.portal.models.log.cycles import CycleRow, cycle_rows, running
from gateway.portal.models.moments import moment, timestamp
from gateway.portal.views.names import names_of
from gateway.portal.visit import Visit

DAYS: Final = 30
_TOO_MUCH: Final = ("COUNT_TOO_COSTLY", "OVERLOADED")


@dataclass(frozen=True, slots=True)
class Overview:
    """The integration, its keys and what was heard of Entra."""

    active: bool
    since: datetime
    keys: Sequence[KeyRow]
    day: Chart
    cycles: Sequence[CycleRow] | None
    """None when the log has too many entries to tell them apart in time."""
    health: model.Health
    contact: str

    @property
    def running(self) -> CycleRow | None:
        """The cycle that goes on now."""
        return running(self.cycles or ())


async def overview(visit: Visit) -> Overview:
    """All of it, asked for side by side."""
    integration, keys, counts, cycles, rejected = await asyncio.gather(
        _integration(visit), _keys(visit), _counts(visit), _cycles(visit), _last_rejected(visit)
    )
    active = integration.state == keys_pb2.Integration.STATE_ACTIVE
    signs = model.Signs(active, keys, model.totals(counts), rejected, visit.now)
    return Overview(
        active=active,
        since=moment(integration.update_time),
        keys=keys,
        day=hours_chart(counts),
        cycles=cycles,
        health=model.health(signs),
        contact=model.contact(signs),
    )


async def month(visit: Visit) -> Chart:
    """What happened in the last month, day by day."""
    span = timedelta(days=DAYS - 1)
    return days_chart(await _count(visit, span, pb.CountActivitiesRequest.WIDTH_DAY))


async def _count(
    visit: Visit, span: timedelta, width: "pb.CountActivitiesRequest.Width"
) -> Sequence[pb.ActivityCount] | None:
    """What the log counted in the time before now; None if that is too much to count."""
    with _unless_too_much():
        response = await visit.call(
            visit.portal.clients.activities.CountActivities,
            pb.CountActivitiesRequest(
                organization_id=visit.organization_id,
                start_time=timestamp(visit.now - span),
                end_time=timestamp(visit.now),
                width=width,
            ),
        )
        return response.counts
    return None


@contextmanager
def _unless_too_much() -> Iterator[None]:
    """A page is shown without what takes too long to count, or too long to wait for."""
    try:
        yield
    except RefusedError as error:
        if error.reason not in _TOO_MUCH:
            raise


async def _integration(visit: Visit) -> keys_pb2.Integration:
    response = await visit.call(
        visit.portal.clients.integrations.GetIntegration,
        keys_pb2.GetIntegrationRequest(organization_id=visit.organization_id),
    )
    return response.integration


async def _keys(visit: Visit) -> Sequence[KeyRow]:
    response = await visit.call(
        visit.portal.clients.keys.ListKeys,
        keys_pb2.ListKeysRequest(organization_id=visit.organization_id),
    )
    nameless = [key for key in response.keys if not key.created_by_name]
    people = {person for key in nameless for person in (key.created_by, key.revoked_by)}
    return key_rows(response.keys, await names_of(visit, people), visit.now)


async def _counts(visit: Visit) -> Sequence[pb.ActivityCount] | None:
    return await _count(visit, timedelta(hours=23), pb.CountActivitiesRequest.WIDTH_HOUR)


async def _cycles(visit: Visit) -> Sequence[CycleRow] | None:
    with _unless_too_much():
        response = await visit.call(
            visit.portal.clients.activities.ListCycles,
            pb.ListCyclesRequest(organization_id=visit.organization_id, page_size=10),
        )
        return cycle_rows(response.cycles, visit.now)
    return None


async def _last_rejected(visit: Visit) -> datetime | None:
    response = await visit.call(
        visit.portal.clients.activities.ListActivities,
        pb.ListActivitiesRequest(
            organization_id=visit.organization_id,
            actions=[pb.Activity.ACTION_AUTHENTICATE],
            page_size=1,
        ),
    )
    for entry in response.activities:
        # While the integration was inactive the key was good: nothing is to be pasted.
        if entry.refusal.reason != "INTEGRATION_INACTIVE":
            return moment(entry.time)
    return None
