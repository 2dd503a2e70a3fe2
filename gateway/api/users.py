"""The endpoint /Users (RFC 7644 section 3)."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypedDict

from cloudacademy.users.v1 import users_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.patching import apply_patch
from gateway.api.query.pages import PageQuery, ResultPage
from gateway.api.request import ScimRequest
from gateway.api.versions import (
    no_content,
    not_modified,
    require_version,
    retry_on_conflict,
    wanted_etag,
)
from gateway.backend.client import MAX_BATCHED_RESPONSE_BYTES, UserClient, is_unique_lookup
from gateway.convert.extension import is_custom
from gateway.convert.user import (
    Resource,
    clearable_fields,
    from_assignments,
    from_user,
    meta,
    to_user,
    user_fields,
)
from gateway.http.response_memory import MEBIBYTE, MEMORY_PER_LISTED_BYTE
from gateway.http.responses import ScimResponse, resource_headers, resource_response
from gateway.limits.rejections import RejectedError
from gateway.scim import resource
from gateway.scim.errors import too_many
from gateway.scim.patch import Operation, assignments
from gateway.scim.patch import parse as parse_patch
from gateway.scim.projection import Projection
from gateway.scim.responses import dumps
from gateway.scim.schema import USER, AttributePath, ResourceType

LIST_BYTES: Final = 1 * MEBIBYTE
"""The size limit of a list message: a page of large users has fewer users than requested."""
MAX_DEFAULT_GROUPS: Final = 200
"""A user in more groups is returned without them unless the request names `groups`."""
MEMORY_PER_BYTE: Final = 10
"""Bytes of memory for each byte of a user, counting the message, its values and the JSON."""


class Users:
    """The users of the caller's organization."""

    resource_type = USER

    def __init__(self, client: UserClient) -> None:
        self._client = client

    async def create(self, request: ScimRequest) -> ScimResponse:
        """POST /Users (section 3.3)."""
        projection = request.projection(request.user_type)
        document = await request.parsed(partial(resource.read, request.user_type))
        created = await self._client.create(
            pb.CreateUserRequest(
                organization_id=request.organization_id,
                user=to_user(document, request.user_type),
            ),
            request.origin,
        )
        return _response(request, projection, created, 201)

    async def get(self, request: ScimRequest) -> ScimResponse:
        """GET /Users/{id} (section 3.4.1)."""
        projection = request.projection(request.user_type)
        message = _get_request(request, _groups_of(request, projection))
        response = await self._client.get(message, request.origin)
        if unmodified := not_modified(request, response.user.etag):
            return unmodified
        return _response(request, projection, await self._read_complete(request, message, response))

    async def page(
        self, request: ScimRequest, projection: Projection, query: PageQuery
    ) -> ResultPage:
        """One page of a query (section 3.4.2)."""
        message = pb.ListUsersRequest(
            organization_id=request.organization_id,
            filter=query.filter,
            order_by=query.order_by,
            page_size=query.size,
            page_token=query.page_token,
            skip=query.skip,
            count_total=query.count_total,
            omit_users=query.size == 0,
            **_groups_of(request, projection),
        )
        response = await self._list(request, message)
        return ResultPage(
            len(response.users),
            _json(request, projection, response.users),
            response.total_size,
            response.next_page_token,
        )

    async def replace(self, request: ScimRequest) -> ScimResponse:
        """PUT /Users/{id} (section 3.5.1).

        Attributes that the client omits are cleared, except `active`: an omission must not give a
        deactivated user access again.
        """
        projection = request.projection(request.user_type)
        document = await request.parsed(partial(resource.read, request.user_type))
        fields = user_fields(request.user_type)
        if "active" not in document:
            fields.remove("active")
        updated = await self._update(
            request,
            to_user(document, request.user_type),
            fields,
            await self._etag(request),
            _groups_of(request, projection),
        )
        return await self._write_response(request, projection, updated)

    async def patch(self, request: ScimRequest) -> ScimResponse:
        """PATCH /Users/{id} (section 3.5.2): all operations or none.

        The response is 200 with the resource, which clients such as Entra read.
        """
        projection = request.projection(request.user_type)
        operations, assigned = await request.parsed(partial(_read_patch, request.user_type))
        etag, groups = await self._etag(request), _groups_of(request, projection)
        if assigned and not any(map(is_custom, assigned)):
            values, fields = from_assignments(assigned)
            response = await self._update(request, values, fields, etag, groups)
        else:
            response = await retry_on_conflict(
                lambda: self._patch_by_reading(request, operations, etag, groups), etag
            )
        return await self._write_response(request, projection, response)

    async def delete(self, request: ScimRequest) -> ScimResponse:
        """DELETE /Users/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteUserRequest(
                organization_id=request.organization_id,
                user_id=request.resource_id,
                etag=await self._etag(request),
            ),
            request.origin,
        )
        return ScimResponse(204)

    async def _patch_by_reading(
        self,
        request: ScimRequest,
        operations: tuple[Operation, ...],
        etag: str,
        groups: "_Groups",
    ) -> pb.UpdateUserResponse:
        """Read the user, apply the operations, and write the user if it changed.

        The groups are read for the response only, because no operation can change them.
        """
        message = _get_request(request, groups)
        response = await self._client.get(message, request.origin)
        user = await self._read_complete(request, message, response)
        require_version(etag, user.etag)
        before = _to_document(request, user)
        after = await apply_patch(request, request.user_type, before, operations)
        fields = _changed_fields(before, after, request.user_type)
        if not fields:
            return pb.UpdateUserResponse(user=user)
        values = to_user(after, request.user_type)
        return await self._update(request, values, fields, user.etag, groups)

    async def _update(
        self,
        request: ScimRequest,
        user: pb.User,
        fields: Sequence[str],
        etag: str,
        groups: "_Groups",
    ) -> pb.UpdateUserResponse:
        user.id = request.resource_id
        return await self._client.update(
            pb.UpdateUserRequest(
                organization_id=request.organization_id,
                user=user,
                update_mask=FieldMask(paths=fields),
                etag=etag,
                max_bytes=MAX_BATCHED_RESPONSE_BYTES,
                **groups,
            ),
            request.origin,
        )

    async def _write_response(
        self, request: ScimRequest, projection: Projection, updated: pb.UpdateUserResponse
    ) -> ScimResponse:
        """The response to a write; a large user is read again for it.

        If there is no memory for the user, the response is 204 without it. The write succeeded, so
        an error would be wrong, and clients would repeat the write.
        """
        user = updated.user
        without_user = no_content(user.etag)
        if updated.omitted_bytes and not request.omits_body:
            if _is_too_large(request, updated.omitted_bytes):
                return without_user
            message = _get_request(request, _groups_of(request, projection))
            response = pb.GetUserResponse(user=user, omitted_bytes=updated.omitted_bytes)
            try:
                user = await self._read_complete(request, message, response)
            except RejectedError:
                return without_user
        return _response(request, projection, user)

    async def _read_complete(
        self, request: ScimRequest, message: pb.GetUserRequest, response: pb.GetUserResponse
    ) -> pb.User:
        """The user of a response; a large user is read again once there is memory for it."""
        while response.omitted_bytes:
            await _reserve(request, response.omitted_bytes)
            message.max_bytes = response.omitted_bytes
            response = await self._client.get(message, request.origin)
        return response.user

    async def _list(
        self, request: ScimRequest, message: pb.ListUsersRequest
    ) -> pb.ListUsersResponse:
        """A page of users; memory for the largest possible page is reserved before it is read."""
        if message.omit_users or is_unique_lookup(message):
            message.max_bytes = MAX_BATCHED_RESPONSE_BYTES
        else:
            message.max_bytes = LIST_BYTES
            await request.memory.acquire(LIST_BYTES * MEMORY_PER_LISTED_BYTE)
        response = await self._client.list(message, request.origin)
        while response.omitted_bytes:
            await _reserve(request, response.omitted_bytes)
            message.max_bytes, message.page_size = response.omitted_bytes, 1
            response = await self._client.list(message, request.origin)
        if message.max_bytes == LIST_BYTES:
            unused = LIST_BYTES - response.ByteSize()
            request.memory.release(max(0, unused) * MEMORY_PER_LISTED_BYTE)
        return response

    async def _etag(self, request: ScimRequest) -> str:
        async def current() -> str:
            response = await self._client.get(_get_request(request, _NO_GROUPS), request.origin)
            return response.user.etag

        return await wanted_etag(request, current)


def _read_patch(
    user_type: ResourceType, document: Mapping[str, Any]
) -> tuple[tuple[Operation, ...], Mapping[AttributePath, Any] | None]:
    """The operations of a PATCH, and the equivalent assignments, if there are any."""
    operations = parse_patch(document)
    return operations, assignments(user_type, operations)


def _get_request(request: ScimRequest, groups: "_Groups") -> pb.GetUserRequest:
    return pb.GetUserRequest(
        organization_id=request.organization_id,
        user_id=request.resource_id,
        max_bytes=MAX_BATCHED_RESPONSE_BYTES,
        **groups,
    )


async def _reserve(request: ScimRequest, size: int) -> None:
    """Reserve memory for a user of `size` bytes.

    Refuses (400 tooMany) a user over the limit of one organization: only groups make a user that
    large.
    """
    if _is_too_large(request, size):
        raise too_many(
            f"The user has {size} bytes, most of them for groups. Leave groups out of attributes,"
            ' and list them at /Groups with the filter members eq "…".'
        )
    memory = request.memory
    await memory.acquire(max(0, size * MEMORY_PER_BYTE - memory.size))


def _is_too_large(request: ScimRequest, size: int) -> bool:
    """Whether a user of `size` bytes takes more memory than one organization can reserve."""
    return size * MEMORY_PER_BYTE > request.memory.largest


class _Groups(TypedDict, total=False):
    """The fields of a request to usersvc that say which groups it returns with a user."""

    view: pb.UserView
    max_groups: int


_NO_GROUPS: Final[_Groups] = {"view": pb.USER_VIEW_BASIC}


def _groups_of(request: ScimRequest, projection: Projection) -> _Groups:
    """The groups that a response has.

    They are `returned` by default for a user in up to MAX_DEFAULT_GROUPS, else on request only.
    """
    if request.omits_body or not projection.includes("groups"):
        return _NO_GROUPS
    return {
        "view": pb.USER_VIEW_WITH_GROUPS,
        "max_groups": 0 if projection.names("groups") else MAX_DEFAULT_GROUPS,
    }


def _to_document(request: ScimRequest, user: pb.User) -> Resource:
    return from_user(user, request.base_url, request.user_type)


def _response(
    request: ScimRequest, projection: Projection, user: pb.User, status: int = 200
) -> ScimResponse:
    if request.omits_body:
        headers = resource_headers({"meta": meta(user, request.base_url)})
        return ScimResponse(status, headers=headers)
    document = _to_document(request, user)
    return resource_response(projection.apply(document), document, status)


def _json(
    request: ScimRequest, projection: Projection, users: Sequence[pb.User]
) -> bytes | AsyncGenerator[bytes, None]:
    """Users as JSON, separated by commas; a single user is serialized immediately."""
    if len(users) <= 1:
        return b"".join(dumps(projection.apply(_to_document(request, user))) for user in users)
    return _many_json(request, projection, users)


async def _many_json(
    request: ScimRequest, projection: Projection, users: Iterable[pb.User]
) -> AsyncGenerator[bytes, None]:
    comma = b""
    for user in users:
        yield comma + dumps(projection.apply(_to_document(request, user)))
        comma = b","


def _changed_fields(
    before: dict[str, Any], after: dict[str, Any], user_type: ResourceType
) -> list[str]:
    names = before.keys() | after.keys()
    changed_names = sorted(name for name in names if before.get(name) != after.get(name))
    return clearable_fields(changed_names, user_type)
