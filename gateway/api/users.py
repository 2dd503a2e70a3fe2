"""The endpoint /Users (RFC 7644 section 3)."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from cloudacademy.users.v1 import users_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.patching import patched
from gateway.api.query.search import Found, Part
from gateway.api.request import ScimRequest
from gateway.api.versions import (
    not_modified,
    require_version,
    unraced,
    wanted_etag,
    without_content,
)
from gateway.backend.client import SMALL_BYTES, UserClient, finds_one
from gateway.convert import user as wire
from gateway.convert.extension import is_own
from gateway.http.response_memory import MEBIBYTE, MEMORY_PER_LISTED_BYTE
from gateway.http.responses import ScimResponse, resource_answer
from gateway.limits.rejections import RejectedError
from gateway.scim import patch as scim_patch
from gateway.scim import projection, resource
from gateway.scim.errors import too_many
from gateway.scim.responses import dumps
from gateway.scim.schema import USER, AttributePath, ResourceType

LIST_BYTES: Final = 1 * MEBIBYTE
"""How large the message of a list may be: with large users a page holds fewer than were asked."""
MEMORY_PER_BYTE: Final = 10
"""Bytes of memory for each byte of a user, counting the message, its values and the JSON."""


class Users:
    """The users of the caller's organization."""

    resource_type = USER

    def __init__(self, client: UserClient) -> None:
        self._client = client

    async def create(self, exchange: ScimRequest) -> ScimResponse:
        """POST /Users (section 3.3)."""
        view = exchange.projection(exchange.user_type)
        document = await exchange.parsed(partial(resource.read, exchange.user_type))
        created = await self._client.create(
            pb.CreateUserRequest(
                organization_id=exchange.organization_id,
                user=wire.to_user(document, exchange.user_type),
            ),
            exchange.origin,
        )
        return _answer(exchange, view, created, 201)

    async def get(self, exchange: ScimRequest) -> ScimResponse:
        """GET /Users/{id} (section 3.4.1)."""
        view = exchange.projection(exchange.user_type)
        request = _get_request(exchange, _user_view(view))
        response = await self._client.get(request, exchange.origin)
        if unmodified := not_modified(exchange, response.user.etag):
            return unmodified
        return _answer(exchange, view, await self._whole(exchange, request, response))

    async def page(self, exchange: ScimRequest, view: projection.Projection, part: Part) -> Found:
        """A part of the list of users, for queries (section 3.4.2)."""
        request = pb.ListUsersRequest(
            organization_id=exchange.organization_id,
            filter=part.filter,
            order_by=part.order_by,
            page_size=part.size,
            page_token=part.page_token,
            skip=part.skip,
            count_total=part.count_total,
            omit_users=part.size == 0,
            view=_user_view(view),
        )
        response = await self._list(exchange, request)
        return Found(
            len(response.users),
            _json(exchange, view, response.users),
            response.total_size,
            response.next_page_token,
        )

    async def replace(self, exchange: ScimRequest) -> ScimResponse:
        """PUT /Users/{id} (section 3.5.1).

        What the client leaves out is cleared, but for `active`: nobody gets
        access back because a client did not mention it.
        """
        view = exchange.projection(exchange.user_type)
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
        return await self._changed(exchange, view, updated)

    async def patch(self, exchange: ScimRequest) -> ScimResponse:
        """PATCH /Users/{id} (section 3.5.2), all operations or none.

        Answered with 200 and the resource: clients of Entra's kind read it.
        """
        view = exchange.projection(exchange.user_type)
        operations, assignments = await exchange.parsed(partial(_read_patch, exchange.user_type))
        etag = await self._etag(exchange)
        if assignments and not any(map(is_own, assignments)):
            values, fields = wire.from_assignments(assignments)
            response = await self._update(exchange, values, fields, etag, _user_view(view))
        else:
            response = await unraced(lambda: self._patch_read(exchange, operations, etag), etag)
        return await self._changed(exchange, view, response)

    async def delete(self, exchange: ScimRequest) -> ScimResponse:
        """DELETE /Users/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteUserRequest(
                organization_id=exchange.organization_id,
                user_id=exchange.resource_id,
                etag=await self._etag(exchange),
            ),
            exchange.origin,
        )
        return ScimResponse(204)

    async def _patch_read(
        self, exchange: ScimRequest, operations: tuple[scim_patch.Operation, ...], etag: str
    ) -> pb.UpdateUserResponse:
        """Read, apply, and write if that changes anything."""
        request = _get_request(exchange, pb.USER_VIEW_WITH_GROUPS)
        response = await self._client.get(request, exchange.origin)
        user = await self._whole(exchange, request, response)
        require_version(etag, user.etag)
        before = _document(exchange, user)
        after = await patched(exchange, exchange.user_type, before, operations)
        fields = _changed_fields(before, after, exchange.user_type)
        if not fields:
            return pb.UpdateUserResponse(user=user)
        values = wire.to_user(after, exchange.user_type)
        return await self._update(exchange, values, fields, user.etag)

    async def _update(
        self,
        exchange: ScimRequest,
        user: pb.User,
        fields: Sequence[str],
        etag: str,
        view: pb.UserView = pb.USER_VIEW_WITH_GROUPS,
    ) -> pb.UpdateUserResponse:
        user.id = exchange.resource_id
        return await self._client.update(
            pb.UpdateUserRequest(
                organization_id=exchange.organization_id,
                user=user,
                update_mask=FieldMask(paths=fields),
                etag=etag,
                view=view,
                max_bytes=SMALL_BYTES,
            ),
            exchange.origin,
        )

    async def _changed(
        self, exchange: ScimRequest, view: projection.Projection, updated: pb.UpdateUserResponse
    ) -> ScimResponse:
        """The answer to a change, for which a large user is read once more.

        A user for whom there is no memory, now or ever, is left out (204): the change was made, so
        a refusal would be wrong, and lead clients to repeat it.
        """
        user = updated.user
        unreturned = without_content(user.etag)
        if updated.omitted_bytes and not exchange.omits_body:
            if _never_fits(exchange, updated.omitted_bytes):
                return unreturned
            request = _get_request(exchange, _user_view(view))
            response = pb.GetUserResponse(user=user, omitted_bytes=updated.omitted_bytes)
            try:
                user = await self._whole(exchange, request, response)
            except RejectedError:
                return unreturned
        return _answer(exchange, view, user)

    async def _whole(
        self, exchange: ScimRequest, request: pb.GetUserRequest, response: pb.GetUserResponse
    ) -> pb.User:
        """The user of a response, read once there is memory for it if it is large."""
        while response.omitted_bytes:
            await _reserve(exchange, response.omitted_bytes)
            request.max_bytes = response.omitted_bytes
            response = await self._client.get(request, exchange.origin)
        return response.user

    async def _list(
        self, exchange: ScimRequest, request: pb.ListUsersRequest
    ) -> pb.ListUsersResponse:
        """A page of users, with memory for as many as come at most."""
        if request.omit_users or finds_one(request):
            request.max_bytes = SMALL_BYTES
        else:
            request.max_bytes = LIST_BYTES
            await exchange.memory.grow(LIST_BYTES * MEMORY_PER_LISTED_BYTE)
        response = await self._client.list(request, exchange.origin)
        while response.omitted_bytes:
            await _reserve(exchange, response.omitted_bytes)
            request.max_bytes, request.page_size = response.omitted_bytes, 1
            response = await self._client.list(request, exchange.origin)
        if request.max_bytes == LIST_BYTES:
            unused = LIST_BYTES - response.ByteSize()
            exchange.memory.shrink(max(0, unused) * MEMORY_PER_LISTED_BYTE)
        return response

    async def _etag(self, exchange: ScimRequest) -> str:
        async def current() -> str:
            response = await self._client.get(_get_request(exchange), exchange.origin)
            return response.user.etag

        return await wanted_etag(exchange, current)


def _read_patch(
    user_type: ResourceType, document: Mapping[str, Any]
) -> tuple[tuple[scim_patch.Operation, ...], Mapping[AttributePath, Any] | None]:
    """The operations of a PATCH, and the assignments that they come down to, if they do."""
    operations = scim_patch.parse(document)
    return operations, scim_patch.assignments(user_type, operations)


def _get_request(
    exchange: ScimRequest, view: pb.UserView = pb.USER_VIEW_BASIC
) -> pb.GetUserRequest:
    return pb.GetUserRequest(
        organization_id=exchange.organization_id,
        user_id=exchange.resource_id,
        view=view,
        max_bytes=SMALL_BYTES,
    )


async def _reserve(exchange: ScimRequest, size: int) -> None:
    """Reserve memory for a user of so many bytes.

    Refuses (400 tooMany) what never fits: no user is that large without its groups.
    """
    if _never_fits(exchange, size):
        raise too_many(
            f"This user has {size} bytes, most of them for groups. Ask with "
            "excludedAttributes=groups."
        )
    memory = exchange.memory
    await memory.grow(max(0, size * MEMORY_PER_BYTE - memory.size))


def _never_fits(exchange: ScimRequest, size: int) -> bool:
    """Whether a user of so many bytes takes more memory than can be reserved at all."""
    return size * MEMORY_PER_BYTE > exchange.memory.largest


def _user_view(view: projection.Projection) -> pb.UserView:
    """Groups are read when the answer holds them."""
    return pb.USER_VIEW_WITH_GROUPS if view.includes("groups") else pb.USER_VIEW_BASIC


def _document(exchange: ScimRequest, user: pb.User) -> wire.Resource:
    return wire.from_user(user, exchange.base_url, exchange.user_type)


def _answer(
    exchange: ScimRequest, view: projection.Projection, user: pb.User, status: int = 200
) -> ScimResponse:
    document = _document(exchange, user)
    return resource_answer(view.apply(document), document, status)


def _json(
    exchange: ScimRequest, view: projection.Projection, users: Sequence[pb.User]
) -> bytes | AsyncGenerator[bytes, None]:
    """Users as JSON with commas between them; a single one is built at once."""
    if len(users) <= 1:
        return b"".join(dumps(view.apply(_document(exchange, user))) for user in users)
    return _many_json(exchange, view, users)


async def _many_json(
    exchange: ScimRequest, view: projection.Projection, users: Iterable[pb.User]
) -> AsyncGenerator[bytes, None]:
    comma = b""
    for user in users:
        yield comma + dumps(view.apply(_document(exchange, user)))
        comma = b","


def _changed_fields(
    before: dict[str, Any], after: dict[str, Any], user_type: ResourceType
) -> list[str]:
    names = before.keys() | after.keys()
    changed_names = sorted(name for name in names if before.get(name) != after.get(name))
    return wire.clearable_fields(changed_names, user_type)
