"""The groups of the organization."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.users.v1 import groups_pb2 as pb

from gateway.portal.models.filters import GROUP_TEXTS, holding
from gateway.portal.models.moments import moment
from gateway.portal.models.people_rows import initials
from gateway.portal.models.search import searched
from gateway.portal.views.log import of_resource
from gateway.portal.views.people import PAGE_SIZE
from gateway.portal.visit import Route, Visit

GROUPS = "/groups/"
MEMBERS = 100


def routes() -> Sequence[Route]:
    """The list and the page of each."""
    return (Route("GET", GROUPS, groups), Route("GET", f"{GROUPS}{{id}}", group))


async def groups(visit: Visit) -> web.Response:
    """A page of the list."""
    text = searched(visit.query)
    page = visit.query.get("page", "")
    response = await visit.call(
        visit.portal.clients.groups.ListGroups,
        pb.ListGroupsRequest(
            organization_id=visit.organization_id,
            filter=holding(GROUP_TEXTS, text) if text else None,
            page_size=PAGE_SIZE,
            page_token=page,
            count_total=not page and not text,
        ),
    )
    given = {"q": text, "page": response.next_page_token}
    return visit.page(
        "groups.html",
        title="Groups",
        rows=[(each, moment(each.update_time)) for each in response.groups],
        text=text,
        total=response.total_size,
        is_first_page=not page,
        next_page=f"?{urlencode({name: value for name, value in given.items() if value})}"
        if response.next_page_token
        else "",
    )


async def group(visit: Visit) -> web.Response:
    """A group, a page of its members, and what happened to it."""
    group_id = visit.path("id")
    found, members, (rows, _) = await asyncio.gather(
        _group(visit, group_id), _members(visit, group_id), of_resource(visit, group_id)
    )
    token = members.next_page_token
    return visit.page(
        "group.html",
        title=found.display_name,
        group=found,
        initials=initials(found.display_name),
        created=moment(found.create_time),
        updated=moment(found.update_time),
        members=members.members,
        kinds=pb.Member,
        rows=rows,
        is_first_page=not visit.query.get("members"),
        next_page=f"?{urlencode({'members': token})}#members" if token else "",
    )


async def _group(visit: Visit, group_id: str) -> pb.Group:
    request = pb.GetGroupRequest(organization_id=visit.organization_id, group_id=group_id)
    return (await visit.call(visit.portal.clients.groups.GetGroup, request)).group


async def _members(visit: Visit, group_id: str) -> pb.ListMembersResponse:
    request = pb.ListMembersRequest(
        organization_id=visit.organization_id,
        group_id=group_id,
        page_size=MEMBERS,
        page_token=visit.query.get("members", ""),
    )
    return await visit.call(visit.portal.clients.groups.ListMembers, request)
