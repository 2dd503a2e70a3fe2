"""The people of the organization."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.users.v1 import users_pb2 as pb

from gateway.portal import problems
from gateway.portal.models.filters import USER_TEXTS, all_of, being, holding
from gateway.portal.models.moments import moment
from gateway.portal.models.people_rows import initials, shown_name, values
from gateway.portal.models.search import searched
from gateway.portal.problems import ProblemError
from gateway.portal.views.log import of_resource
from gateway.portal.views.names import names_of
from gateway.portal.visit import Route, Visit

PEOPLE = "/people/"
PAGE_SIZE = 50
MAX_PERSON_BYTES = 512 * 1024
"""How large a person can be shown: as HTML it is several times as much, and pages are many."""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person in the list."""

    id: str
    name: str
    initials: str
    user_name: str
    active: bool
    roles: str


def routes() -> Sequence[Route]:
    """The list and the page of each."""
    return (Route("GET", PEOPLE, people), Route("GET", f"{PEOPLE}{{id}}", person))


async def people(visit: Visit) -> web.Response:
    """A page of the list."""
    text = searched(visit.query)
    state = visit.query.get("state", "")
    page = visit.query.get("page", "")
    filters = [holding(USER_TEXTS, text)] if text else []
    if state in ("active", "inactive"):
        filters.append(being(active=state == "active"))
    response = await visit.call(
        visit.portal.clients.users.ListUsers,
        pb.ListUsersRequest(
            organization_id=visit.organization_id,
            filter=all_of(filters),
            page_size=PAGE_SIZE,
            page_token=page,
            count_total=not page and not text,
        ),
    )
    given = {"q": text, "state": state, "page": response.next_page_token}
    return visit.page(
        "people.html",
        title="People",
        rows=[_row(user) for user in response.users],
        text=text,
        state=state,
        total=response.total_size,
        is_first_page=not page,
        next_page=f"?{urlencode({name: value for name, value in given.items() if value})}"
        if response.next_page_token
        else "",
    )


async def person(visit: Visit) -> web.Response:
    """All that is known of a person, and what happened to them."""
    request = pb.GetUserRequest(
        organization_id=visit.organization_id,
        user_id=visit.path("id"),
        view=pb.USER_VIEW_WITH_GROUPS,
        max_bytes=MAX_PERSON_BYTES,
    )
    response = await visit.call(visit.portal.clients.users.GetUser, request)
    if response.omitted_bytes:
        raise ProblemError(problems.TOO_MUCH_TO_SHOW)
    user = response.user
    (rows, next_page), manager = await asyncio.gather(
        of_resource(visit, user.id), _manager(visit, user)
    )
    return visit.page(
        "person.html",
        title=shown_name(user),
        user=user,
        row=_row(user),
        values=values(user),
        manager=manager,
        created=moment(user.create_time),
        updated=moment(user.update_time),
        rows=rows,
        is_first_page=not visit.query.get("page"),
        next_page=f"?{urlencode({'page': next_page})}#log" if next_page else "",
    )


async def _manager(visit: Visit, user: pb.User) -> str:
    manager = user.enterprise.manager.value
    return (await names_of(visit, [manager])).get(manager, "") if manager else ""


def _row(user: pb.User) -> PersonRow:
    name = shown_name(user)
    roles = ", ".join(role.display or role.value for role in user.roles)
    return PersonRow(user.id, name, initials(name), user.user_name, user.active, roles)
