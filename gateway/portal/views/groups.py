"""The list of groups, and the page of each group."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.users.v1 import groups_pb2 as pb

from gateway.portal.context import PageContext, Route
from gateway.portal.models.filters import GROUP_SEARCH_FIELDS, matches_text
from gateway.portal.models.people_rows import initials
from gateway.portal.models.search import search_text
from gateway.portal.models.times import to_datetime
from gateway.portal.views.log import of_resource
from gateway.portal.views.people import PAGE_SIZE

GROUPS = "/groups/"
MEMBERS_PAGE_SIZE = 100


def routes() -> Sequence[Route]:
    """The routes of the list and of each group."""
    return (Route("GET", GROUPS, groups), Route("GET", f"{GROUPS}{{id}}", group))


async def groups(context: PageContext) -> web.Response:
    """One page of the list."""
    text = search_text(context.query)
    page = context.query.get("page", "")
    response = await context.call(
        context.portal.clients.groups.ListGroups,
        pb.ListGroupsRequest(
            organization_id=context.organization_id,
            filter=matches_text(GROUP_SEARCH_FIELDS, text) if text else None,
            page_size=PAGE_SIZE,
            page_token=page,
            count_total=not page and not text,
        ),
    )
    parameters = {"q": text, "page": response.next_page_token}
    return context.page(
        "groups.html",
        title="Groups",
        rows=[(each, to_datetime(each.update_time)) for each in response.groups],
        text=text,
        total=response.total_size,
        is_first_page=not page,
        next_page=f"?{urlencode({name: value for name, value in parameters.items() if value})}"
        if response.next_page_token
        else "",
    )


async def group(context: PageContext) -> web.Response:
    """A group, one page of its members, and its latest log entries."""
    group_id = context.path("id")
    found, members, (rows, _) = await asyncio.gather(
        _group(context, group_id), _members(context, group_id), of_resource(context, group_id)
    )
    token = members.next_page_token
    return context.page(
        "group.html",
        title=found.display_name,
        group=found,
        initials=initials(found.display_name),
        created=to_datetime(found.create_time),
        updated=to_datetime(found.update_time),
        members=members.members,
        kinds=pb.Member,
        rows=rows,
        is_first_page=not context.query.get("members"),
        next_page=f"?{urlencode({'members': token})}#members" if token else "",
    )


async def _group(context: PageContext, group_id: str) -> pb.Group:
    request = pb.GetGroupRequest(organization_id=context.organization_id, group_id=group_id)
    return (await context.call(context.portal.clients.groups.GetGroup, request)).group


async def _members(context: PageContext, group_id: str) -> pb.ListMembersResponse:
    request = pb.ListMembersRequest(
        organization_id=context.organization_id,
        group_id=group_id,
        page_size=MEMBERS_PAGE_SIZE,
        page_token=context.query.get("members", ""),
    )
    return await context.call(context.portal.clients.groups.ListMembers, request)
