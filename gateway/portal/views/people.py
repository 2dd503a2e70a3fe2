"""The list of people, and the page of each person."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.users.v1 import users_pb2 as pb

from gateway.portal import problems
from gateway.portal.context import PageContext, Route
from gateway.portal.models.filters import USER_SEARCH_FIELDS, all_of, is_active, matches_text
from gateway.portal.models.people_rows import display_name_of, initials, values
from gateway.portal.models.search import search_text
from gateway.portal.models.times import to_datetime
from gateway.portal.problems import ProblemError
from gateway.portal.views.log import of_resource
from gateway.portal.views.names import names_of

PEOPLE = "/people/"
PAGE_SIZE = 50
MAX_PERSON_BYTES = 512 * 1024
"""The largest person that is shown, in bytes of the message; its HTML is several times larger."""
MAX_PERSON_GROUPS = 200


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A row of the list."""

    id: str
    name: str
    initials: str
    user_name: str
    active: bool
    roles: str


def routes() -> Sequence[Route]:
    """The routes of the list and of each person."""
    return (Route("GET", PEOPLE, people), Route("GET", f"{PEOPLE}{{id}}", person))


async def people(context: PageContext) -> web.Response:
    """One page of the list."""
    text = search_text(context.query)
    state = context.query.get("state", "")
    page = context.query.get("page", "")
    filters = [matches_text(USER_SEARCH_FIELDS, text)] if text else []
    if state in ("active", "inactive"):
        filters.append(is_active(active=state == "active"))
    response = await context.call(
        context.portal.clients.users.ListUsers,
        pb.ListUsersRequest(
            organization_id=context.organization_id,
            filter=all_of(filters),
            page_size=PAGE_SIZE,
            page_token=page,
            count_total=not page and not text,
        ),
    )
    parameters = {"q": text, "state": state, "page": response.next_page_token}
    return context.page(
        "people.html",
        title="People",
        rows=[_row(user) for user in response.users],
        text=text,
        state=state,
        total=response.total_size,
        is_first_page=not page,
        next_page=f"?{urlencode({name: value for name, value in parameters.items() if value})}"
        if response.next_page_token
        else "",
    )


async def person(context: PageContext) -> web.Response:
    """A person with all attributes, up to MAX_PERSON_GROUPS groups, and their log entries."""
    request = pb.GetUserRequest(
        organization_id=context.organization_id,
        user_id=context.path("id"),
        view=pb.USER_VIEW_WITH_GROUPS,
        max_groups=MAX_PERSON_GROUPS,
        truncate_groups=True,
        max_bytes=MAX_PERSON_BYTES,
    )
    response = await context.call(context.portal.clients.users.GetUser, request)
    if response.omitted_bytes:
        raise ProblemError(problems.PERSON_TOO_LARGE)
    user = response.user
    (rows, next_page), manager = await asyncio.gather(
        of_resource(context, user.id), _manager(context, user)
    )
    return context.page(
        "person.html",
        title=display_name_of(user),
        user=user,
        row=_row(user),
        values=values(user),
        manager=manager,
        created=to_datetime(user.create_time),
        updated=to_datetime(user.update_time),
        rows=rows,
        is_first_page=not context.query.get("page"),
        next_page=f"?{urlencode({'page': next_page})}#log" if next_page else "",
    )


async def _manager(context: PageContext, user: pb.User) -> str:
    manager = user.enterprise.manager.value
    return (await names_of(context, [manager])).get(manager, "") if manager else ""


def _row(user: pb.User) -> PersonRow:
    name = display_name_of(user)
    roles = ", ".join(role.display or role.value for role in user.roles)
    return PersonRow(user.id, name, initials(name), user.user_name, user.active, roles)
