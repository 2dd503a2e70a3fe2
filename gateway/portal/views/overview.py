"""The state of provisioning, which several pages show."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudacademy.keys.v1 import keys_pb2
from cloudacademy.users.v1 import activity_pb2 as pb

from chassis.rpc.timestamps import to_timestamp
from gateway.backend.errors import RefusedError
from gateway.portal.context import PageContext
from gateway.portal.models import health as model
from gateway.portal.models.charts import Chart, days_chart, hours_chart
from gateway.portal.models.key_rows import KeyRow, key_rows
from gateway.portal.models.log.cycles import CycleRow, cycle_rows, running
from gateway.portal.models.providers import Provider, of_clients
from gateway.portal.models.times import to_datetime
from gateway.portal.views.names import names_of

DAYS: Final = 30
ENTRIES_OF_CLIENTS: Final = 20
"""The newest entries of the log whose clients tell which identity provider sends the changes."""
_TOO_COSTLY: Final = ("COUNT_TOO_COSTLY", "FILTER_TOO_COSTLY", "OVERLOADED")


@dataclass(frozen=True, slots=True)
class Overview:
    """The integration, its keys, and the recent activity of the identity provider."""

    active: bool
    since: datetime
    keys: Sequence[KeyRow]
    day: Chart
    cycles: Sequence[CycleRow] | None
    """None if the log has too many entries to find the cycles in time."""
    health: model.Health
    contact: str
    provider: Provider
    """The identity provider that sends the changes; if unknown, the one of the page."""

    @property
    def running(self) -> CycleRow | None:
        """The cycle that is running now, if any."""
        return running(self.cycles or ())


async def overview(context: PageContext) -> Overview:
    """Read the parts of the overview concurrently."""
    integration, keys, counts, cycles, key_refusal, latest = await asyncio.gather(
        _integration(context),
        _keys(context),
        _counts(context),
        _cycles(context),
        _last_key_refusal(context),
        _latest(context),
    )
    provider = of_clients(entry.client for entry in latest) or context.provider
    active = integration.state == keys_pb2.Integration.STATE_ACTIVE
    signals = model.HealthSignals(
        active, keys, model.totals(counts), key_refusal, context.now, provider
    )
    return Overview(
        active=active,
        since=to_datetime(integration.update_time),
        keys=keys,
        day=hours_chart(counts),
        cycles=cycles,
        health=model.health(signals),
        contact=model.contact_text(signals),
        provider=provider,
    )


async def month(context: PageContext) -> Chart:
    """The chart of the last 30 days."""
    span = timedelta(days=DAYS - 1)
    return days_chart(await _count(context, span, pb.CountActivitiesRequest.WIDTH_DAY))


async def _count(
    context: PageContext, span: timedelta, width: "pb.CountActivitiesRequest.Width"
) -> Sequence[pb.ActivityCount] | None:
    """The counts of the log for the time span up to now; None if counting is too costly."""
    with _ignoring_too_costly():
        response = await context.call(
            context.portal.clients.activities.CountActivities,
            pb.CountActivitiesRequest(
                organization_id=context.organization_id,
                start_time=to_timestamp(context.now - span),
                end_time=to_timestamp(context.now),
                width=width,
            ),
        )
        return response.counts
    return None


@contextmanager
def _ignoring_too_costly() -> Iterator[None]:
    """Ignore the refusal of a costly query, so that the page is shown without its result."""
    try:
        yield
    except RefusedError as error:
        if error.reason not in _TOO_COSTLY:
            raise


async def _integration(context: PageContext) -> keys_pb2.Integration:
    response = await context.call(
        context.portal.clients.integrations.GetIntegration,
        keys_pb2.GetIntegrationRequest(organization_id=context.organization_id),
    )
    return response.integration


async def _keys(context: PageContext) -> Sequence[KeyRow]:
    response = await context.call(
        context.portal.clients.keys.ListKeys,
        keys_pb2.ListKeysRequest(organization_id=context.organization_id),
    )
    unnamed = [key for key in response.keys if not key.created_by_name]
    people = {person for key in unnamed for person in (key.created_by, key.revoked_by)}
    return key_rows(response.keys, await names_of(context, people), context.now)


async def _counts(context: PageContext) -> Sequence[pb.ActivityCount] | None:
    return await _count(context, timedelta(hours=23), pb.CountActivitiesRequest.WIDTH_HOUR)


async def _cycles(context: PageContext) -> Sequence[CycleRow] | None:
    with _ignoring_too_costly():
        response = await context.call(
            context.portal.clients.activities.ListCycles,
            pb.ListCyclesRequest(organization_id=context.organization_id, page_size=10),
        )
        return cycle_rows(response.cycles, context.now)
    return None


async def _latest(context: PageContext) -> Sequence[pb.Activity]:
    with _ignoring_too_costly():
        response = await context.call(
            context.portal.clients.activities.ListActivities,
            pb.ListActivitiesRequest(
                organization_id=context.organization_id, page_size=ENTRIES_OF_CLIENTS
            ),
        )
        return response.activities
    return ()


async def _last_key_refusal(context: PageContext) -> datetime | None:
    response = await context.call(
        context.portal.clients.activities.ListActivities,
        pb.ListActivitiesRequest(
            organization_id=context.organization_id,
            actions=[pb.Activity.ACTION_AUTHENTICATE],
            page_size=1,
        ),
    )
    for entry in response.activities:
        # The key itself is fine if only the integration was inactive: no new key is needed.
        if entry.refusal.reason != "INTEGRATION_INACTIVE":
            return to_datetime(entry.time)
    return None
