"""The names that people have now, by their ids."""

from collections.abc import Iterable

from cloudacademy.users.v1 import users_pb2 as pb

from chassis.rpc.uuids import is_uuid
from gateway.portal.context import PageContext
from gateway.portal.models.filters import id_in
from gateway.portal.models.people_rows import display_name_of

AT_ONCE = 100


async def names_of(context: PageContext, ids: Iterable[str]) -> dict[str, str]:
    """The names of those among the ids that are people of the organization."""
    wanted = sorted({each for each in ids if is_uuid(each)})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), AT_ONCE):
        response = await context.call(
            context.portal.clients.users.ListUsers,
            pb.ListUsersRequest(
                organization_id=context.organization_id,
                filter=id_in(wanted[start : start + AT_ONCE]),
                page_size=AT_ONCE,
            ),
        )
        found |= {user.id: display_name_of(user) for user in response.users}
    return found
