"""The endpoint /Users (RFC 7644 section 3)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cloudacademy.users.v1 import users_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway import wire
from gateway.clients import UserClient
from gateway.exchange import Answer, Exchange, resource_answer
from gateway.preconditions import is_known
from gateway.routes.patching import patched
from gateway.routes.search import Found, Part
from gateway.routes.versions import changed, unraced, wanted_etag
from gateway.scim import patch as scim_patch
from gateway.scim import projection, resource
from gateway.scim.schema import USER, AttributePath, ResourceType
from gateway.wire_extension import is_own


class Users:
    """The users of the caller's organization."""

    resource_type = USER

    def __init__(self, client: UserClient) -> None:
        self._client = client

    async def create(self, exchange: Exchange) -> Answer:
        """POST /Users (section 3.3)."""
        view = _projection(exchange)
        document = await exchange.parsed(partial(resource.read, exchange.user_type))
        created = await self._client.create(
            pb.CreateUserRequest(
                organization_id=exchange.organization_id,
                user=wire.to_user(document, exchange.user_type),
            ),
            exchange.origin,
        )
        return _answer(exchange, view, created, 201)

    async def get(self, exchange: Exchange) -> Answer:
        """GET /Users/{id} (section 3.4.1)."""
        view = _projection(exchange)
        user = await self._get(exchange, _user_view(view))
        if is_known(exchange.header("If-None-Match"), user.etag):
            return Answer(304, headers={"ETag": wire.etag_header(user.etag)})
        return _answer(exchange, view, user)

    async def page(self, exchange: Exchange, view: projection.Projection, part: Part) -> Found:
        """A part of the list of users, for queries (section 3.4.2)."""
        response = await self._client.list(
            pb.ListUsersRequest(
                organization_id=exchange.organization_id,
                filter=part.filter,
                order_by=part.order_by,
                page_size=part.size,
                page_token=part.page_token,
                skip=part.skip,
                count_total=part.count_total,
                omit_users=part.size == 0,
                view=_user_view(view),
            ),
            exchange.origin,
        )
        users = [view.apply(_document(exchange, user)) for user in response.users]
        return Found(users, response.total_size, response.next_page_token)

    async def replace(self, exchange: Exchange) -> Answer:
        """PUT /Users/{id} (section 3.5.1).

        What the client leaves out is cleared, but for `active`: nobody gets
        access back because a client did not mention it.
        """
        view = _projection(exchange)
        document = await exchange.parsed(partial(resource.read, exchange.user_type))
        fields = wire.user_fields(exchange.user_type)
        if "active" not in document:
            fields.remove("active")
        updated = await self._update(
            exchange,
            wire.to_user(document, exchange.user_type),
            fields,
            await self._etag(exchange),
            _user_view(view),
        )
        return _answer(exchange, view, updated)

    async def patch(self, exchange: Exchange) -> Answer:
        """PATCH /Users/{id} (section 3.5.2), all operations or none.

        Answered with 200 and the resource: clients of Entra's kind read it.
        """
        view = _projection(exchange)
        operations, assignments = await exchange.parsed(partial(_read_patch, exchange.user_type))
        etag = await self._etag(exchange)
        if assignments and not any(map(is_own, assignments)):
            values, fields = wire.from_assignments(assignments)
            user = await self._update(exchange, values, fields, etag, _user_view(view))
        else:
            user = await unraced(lambda: self._patch_read(exchange, operations, etag), etag)
        return _answer(exchange, view, user)

    async def delete(self, exchange: Exchange) -> Answer:
        """DELETE /Users/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteUserRequest(
                organization_id=exchange.organization_id,
                user_id=exchange.resource_id,
                etag=await self._etag(exchange),
            ),
            exchange.origin,
        )
        return Answer(204)

    async def _patch_read(
        self, exchange: Exchange, operations: tuple[scim_patch.Operation, ...], etag: str
    ) -> pb.User:
        """Read, apply, and write if that changes anything."""
        user = await self._get(exchange, pb.USER_VIEW_WITH_GROUPS)
        if etag and user.etag != etag:
            raise changed()
        before = _document(exchange, user)
        after = await patched(exchange, exchange.user_type, before, operations)
        fields = _changed_fields(before, after, exchange.user_type)
        if not fields:
            return user
        values = wire.to_user(after, exchange.user_type)
        return await self._update(exchange, values, fields, user.etag)

    async def _get(self, exchange: Exchange, view: pb.UserView = pb.USER_VIEW_BASIC) -> pb.User:
        return await self._client.get(
            pb.GetUserRequest(
                organization_id=exchange.organization_id,
                user_id=exchange.resource_id,
                view=view,
            ),
            exchange.origin,
        )

    async def _update(
        self,
        exchange: Exchange,
        user: pb.User,
        fields: Sequence[str],
        etag: str,
        view: pb.UserView = pb.USER_VIEW_WITH_GROUPS,
    ) -> pb.User:
        user.id = exchange.resource_id
        return await self._client.update(
            pb.UpdateUserRequest(
                organization_id=exchange.organization_id,
                user=user,
                update_mask=FieldMask(paths=fields),
                etag=etag,
                view=view,
            ),
            exchange.origin,
        )

    async def _etag(self, exchange: Exchange) -> str:
        async def current() -> str:
            return (await self._get(exchange)).etag

        return await wanted_etag(exchange, current)


def _read_patch(
    user_type: ResourceType, document: Mapping[str, Any]
) -> tuple[tuple[scim_patch.Operation, ...], Mapping[AttributePath, Any] | None]:
    """The operations of a PATCH, and the assignments that they come down to, if they do."""
    operations = scim_patch.parse(document)
    return operations, scim_patch.assignments(user_type, operations)


def _user_view(view: projection.Projection) -> pb.UserView:
    """Groups are read when the answer holds them."""
    return pb.USER_VIEW_WITH_GROUPS if view.includes("groups") else pb.USER_VIEW_BASIC


def _document(exchange: Exchange, user: pb.User) -> wire.Resource:
    return wire.from_user(user, exchange.base_url, exchange.user_type)


def _projection(exchange: Exchange) -> projection.Projection:
    return projection.parse(
        exchange.user_type,
        exchange.parameter("attributes"),
        exchange.parameter("excludedAttributes"),
    )


def _answer(
    exchange: Exchange, view: projection.Projection, user: pb.User, status: int = 200
) -> Answer:
    document = _document(exchange, user)
    return resource_answer(view.apply(document), document, status)


def _changed_fields(
    before: dict[str, Any], after: dict[str, Any], user_type: ResourceType
) -> list[str]:
    names = before.keys() | after.keys()
    changed_names = sorted(name for name in names if before.get(name) != after.get(name))
    return wire.clearable_fields(changed_names, user_type)
