"""The provisioning log."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.portal.context import PageContext, Route
from gateway.portal.models.log.advice import advice
from gateway.portal.models.log.checks import checks
from gateway.portal.models.log.curl import as_curl
from gateway.portal.models.log.query import PAGE_SIZE, LogQuery, log_query
from gateway.portal.models.log.rows import LogRow, log_row, log_rows
from gateway.portal.models.log.sentences import ACTIONS, is_about_group
from gateway.portal.views.integration import provider_routes
from gateway.portal.views.names import names_of
from gateway.portal.views.overview import month, overview
from gateway.web.headers import SECURITY


def routes() -> Sequence[Route]:
    """The routes of the log, its live updates, and its entries."""
    return (
        *provider_routes("GET", "log", log),
        *provider_routes("GET", "log/live", live),
        *provider_routes("GET", "log/entries/{id}", entry),
    )


async def log(context: PageContext) -> web.Response:
    """One page of the log, below the health, the cycles and the charts."""
    query = log_query(context.query)
    provisioning, month_chart, listed = await asyncio.gather(
        overview(context),
        month(context),
        find(context, query.request(context.organization_id)),
    )
    rows, next_page = listed
    return context.page(
        "log.html",
        title="Provisioning log",
        tab="log",
        overview=provisioning,
        month=month_chart,
        query=query,
        rows=rows,
        next_page=query.page_query_string(next_page) if next_page else "",
        actions={key: label for key, (label, _) in ACTIONS.items()},
        page_size=PAGE_SIZE,
    )


async def live(context: PageContext) -> web.Response:
    """The parts of the log page that change, for its script.

    Answers 304 (RFC 9110, 15.4.5) if nothing changed since the script's last request. Texts such as
    "3 minutes ago" change each minute.
    """
    tag = f'"{await _newest_entry(context)}-{int(context.now.timestamp()) // 60}"'
    if context.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={**SECURITY, "ETag": tag})
    query = log_query({**context.query, "page": ""})
    (rows, _), provisioning, month_chart = await asyncio.gather(
        find(context, query.request(context.organization_id)), overview(context), month(context)
    )
    page = context.page("log_live.html", rows=rows, overview=provisioning, month=month_chart)
    page.headers["ETag"] = tag
    return page


async def _newest_entry(context: PageContext) -> str:
    """The id of the newest entry of the log, whatever the page searches for."""
    request = pb.ListActivitiesRequest(organization_id=context.organization_id, page_size=1)
    response = await context.call(context.portal.clients.activities.ListActivities, request)
    return response.activities[0].id if response.activities else ""


async def entry(context: PageContext) -> web.Response:
    """One entry. The script that opens it in a drawer gets only that part of the page."""
    response = await context.call(
        context.portal.clients.activities.GetActivity,
        pb.GetActivityRequest(organization_id=context.organization_id, id=context.path("id")),
    )
    activity = response.activity
    members = [each.id for each in activity.members]
    names = await names_of(context, [*members, activity.resource_id])
    row = log_row(activity, names, context.page_provider)
    partial = context.request.headers.get("X-Requested-With") == "drawer"
    return context.page(
        "log_entry_part.html" if partial else "log_entry.html",
        title="Log entry",
        tab="log",
        row=row,
        activity=activity,
        is_group=is_about_group(activity),
        member_names=names,
        checks=checks(activity),
        advice=advice(activity.refusal, row.provider) if activity.refused else "",
        curl=as_curl(activity.refusal, context.portal.tenant_url) if activity.refused else "",
    )


async def find(
    context: PageContext, request: pb.ListActivitiesRequest
) -> tuple[Sequence[LogRow], str]:
    """Entries with people's current names, and the token of the next page."""
    response = await context.call(context.portal.clients.activities.ListActivities, request)
    names = await names_of(
        context, (each.resource_id for each in response.activities if not is_about_group(each))
    )
    return log_rows(response.activities, names, context.page_provider), response.next_page_token


async def of_resource(context: PageContext, resource_id: str) -> tuple[Sequence[LogRow], str]:
    """The entries of one person or group, and the token of the next page."""
    request = LogQuery(page=context.query.get("page", "")).request(context.organization_id)
    request.resource_id = resource_id
    return await find(context, request)
