"""The dashboard, which is the administrators' start page."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from cloudacademy.users.v1 import activity_pb2, groups_pb2, users_pb2

from gateway.portal.context import PageContext, Route
from gateway.portal.models.domain_rows import warnings
from gateway.portal.models.log.rows import log_rows
from gateway.portal.views.names import names_of
from gateway.portal.views.overview import month, overview
from gateway.portal.views.sso import read_connection

RECENT_ENTRIES = 8


def routes() -> Sequence[Route]:
    """The route of the dashboard."""
    return (Route("GET", "/dashboard/", dashboard),)


async def dashboard(context: PageContext) -> web.Response:
    """The health of provisioning, the numbers of people and groups, and recent activity."""
    provisioning, month_chart, people, groups, recent, connection = await asyncio.gather(
        overview(context),
        month(context),
        _people(context),
        _groups(context),
        _recent(context),
        read_connection(context),
    )
    names = await names_of(context, (each.resource_id for each in recent))
    return context.page(
        "dashboard.html",
        title="Dashboard",
        overview=provisioning,
        month=month_chart,
        people=people,
        groups=groups,
        rows=log_rows(recent, names),
        warnings=warnings(connection.domain_proofs),
    )


async def _people(context: PageContext) -> int:
    response = await context.call(
        context.portal.clients.users.ListUsers,
        users_pb2.ListUsersRequest(
            organization_id=context.organization_id, count_total=True, omit_users=True
        ),
    )
    return response.total_size


async def _groups(context: PageContext) -> int:
    response = await context.call(
        context.portal.clients.groups.ListGroups,
        groups_pb2.ListGroupsRequest(
            organization_id=context.organization_id, count_total=True, omit_groups=True
        ),
    )
    return response.total_size


async def _recent(context: PageContext) -> Sequence[activity_pb2.Activity]:
    response = await context.call(
        context.portal.clients.activities.ListActivities,
        activity_pb2.ListActivitiesRequest(
            organization_id=context.organization_id, page_size=RECENT_ENTRIES
        ),
    )
    return response.activities
