"""Looks up the current names of people."""

from collections.abc import Iterable

from cloudacademy.users.v1 import users_pb2 as pb

from chassis.rpc.uuids import is_uuid
from gateway.portal.context import PageContext
from gateway.portal.models.filters import id_in
from gateway.portal.models.people_rows import display_name_of

BATCH_SIZE = 100


async def names_of(context: PageContext, ids: Iterable[str]) -> dict[str, str]:
    """The current names by id. Ids that are not people of the organization are omitted."""
    wanted = sorted({each for each in ids if is_uuid(each)})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), BATCH_SIZE):
        response = await context.call(
            context.portal.clients.users.ListUsers,
            pb.ListUsersRequest(
                organization_id=context.organization_id,
                filter=id_in(wanted[start : start + BATCH_SIZE]),
                page_size=BATCH_SIZE,
            ),
        )
        found |= {user.id: display_name_of(user) for user in response.users}
    return found
