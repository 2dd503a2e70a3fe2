"""The endpoint /Groups (RFC 7644 section 3).

usersvc keeps members as sets: a request that changes some members does not read the others. A
write returns the members of a small group. The members of a large group are read in pages
while the response is sent.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeAlias

from cloudacademy.users.v1 import groups_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.patching import apply_patch
from gateway.api.query.pages import PageQuery, ResultPage
from gateway.api.request import STREAM_BYTES, ScimRequest, streamed_response
from gateway.api.versions import (
    no_content,
    not_modified,
    require_version,
    retry_on_conflict,
    wanted_etag,
)
from gateway.backend.groups import NAMED_MEMBERS_PAGE, GroupClient
from gateway.convert.group import GROUP_FIELDS, from_group, from_members, member_ids, to_group
from gateway.convert.user import Resource, field_name
from gateway.http.response_memory import MEBIBYTE, MEMORY_PER_LISTED_BYTE, ResponseReservation
from gateway.http.responses import ScimResponse, resource_headers, resource_response
from gateway.limits.rejections import RejectedError
from gateway.scim import resource
from gateway.scim.errors import too_many
from gateway.scim.patch import MemberChanges, Operation, member_changes
from gateway.scim.patch import parse as parse_patch
from gateway.scim.projection import Projection
from gateway.scim.projection import parse as parse_projection
from gateway.scim.responses import dumps
from gateway.scim.schema import GROUP

_MEMBER_ATTRIBUTES: Final = parse_projection(
    GROUP, "members.value,members.type,members.display", None
)
"""A projection with all attributes of members that a PATCH may depend on."""
MAX_RETURNED_MEMBERS: Final = 20
"""The most members that a write returns. The response to a PATCH of a larger group is 204."""
SMALL_RESPONSE: Final = 100
"""A write of up to this many members reserves no memory for its response in advance."""
MAX_PATCHED_MEMBERS: Final = 10_000
"""The most members of a group that a PATCH which depends on all of them accepts."""
PATCH_MEMORY: Final = 16 * MEBIBYTE
"""Memory for MAX_PATCHED_MEMBERS members with their names."""
SMALL_LIST: Final = 100
GROUP_MEMORY: Final = 8 * 1024
"""Memory for each group of a longer list, with texts of the maximum length."""

Written: TypeAlias = pb.CreateGroupResponse | pb.UpdateGroupResponse
Pages: TypeAlias = AsyncGenerator[Sequence[pb.Member], None]


class Groups:
    """The groups of the caller's organization."""

    resource_type = GROUP

    def __init__(self, client: GroupClient) -> None:
        self._client = client

    async def create(self, request: ScimRequest) -> ScimResponse:
        """POST /Groups (section 3.3)."""
        projection = request.projection(GROUP)
        document = await request.parsed(partial(resource.read, GROUP))
        await _reserve_response(request, projection, document)
        created = await self._client.create(
            pb.CreateGroupRequest(
                organization_id=request.organization_id,
                group=to_group(document),
                member_ids=member_ids(document),
                keep_unknown_members=True,
                member_view=_member_view_if_small(request, projection, document),
            ),
            request.origin,
        )
        return await self._write_response(request, projection, created, 201)

    async def get(self, request: ScimRequest) -> ScimResponse:
        """GET /Groups/{id} (section 3.4.1)."""
        projection = request.projection(GROUP)
        group = await self._get(request)
        if unmodified := not_modified(request, group.etag):
            return unmodified
        return await self._response(request, projection, group)

    async def page(
        self, request: ScimRequest, projection: Projection, query: PageQuery
    ) -> ResultPage:
        """One page of a query (section 3.4.2)."""
        reserved = query.size * GROUP_MEMORY if query.size > SMALL_LIST else 0
        await request.memory.acquire(reserved)
        response = await self._client.list(
            pb.ListGroupsRequest(
                organization_id=request.organization_id,
                filter=query.filter,
                order_by=query.order_by,
                page_size=query.size,
                page_token=query.page_token,
                skip=query.skip,
                count_total=query.count_total,
                omit_groups=query.size == 0,
            ),
            request.origin,
        )
        request.memory.release(reserved - response.ByteSize() * MEMORY_PER_LISTED_BYTE)
        groups = self._list_json(request, projection, response.groups)
        return ResultPage(
            len(response.groups), groups, response.total_size, response.next_page_token
        )

    async def replace(self, request: ScimRequest) -> ScimResponse:
        """PUT /Groups/{id} (section 3.5.1): attributes that the client omits are cleared."""
        projection = request.projection(GROUP)
        document = await request.parsed(partial(resource.read, GROUP))
        members = _replace_members(document)
        await _reserve_response(request, projection, document)
        updated = await self._update(
            request,
            to_group(document),
            GROUP_FIELDS,
            members,
            etag=await self._etag(request),
            returned=_member_view_if_small(request, projection, document),
        )
        return await self._write_response(request, projection, updated)

    async def patch(self, request: ScimRequest) -> ScimResponse:
        """PATCH /Groups/{id} (section 3.5.2): all operations or none.

        The response has the group if it is small, and is 204 if it is large: the response to a
        change of one member must not grow with the group.
        """
        projection = request.projection(GROUP)
        operations, changes = await request.parsed(_read_patch)
        etag = await self._etag(request)
        returned = _member_view(projection)
        if changes is None:
            updated = await retry_on_conflict(
                lambda: self._patch_by_reading(request, operations, etag, returned), etag
            )
        else:
            updated = await self._patch_without_reading(request, changes, etag, returned)
        if request.parameter("attributes") or not projection.includes("members"):
            return await self._write_response(request, projection, updated)
        return _small_response(request, projection, updated)

    async def delete(self, request: ScimRequest) -> ScimResponse:
        """DELETE /Groups/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteGroupRequest(
                organization_id=request.organization_id,
                group_id=request.resource_id,
                etag=await self._etag(request),
            ),
            request.origin,
        )
        return ScimResponse(204)

    async def _patch_without_reading(
        self,
        request: ScimRequest,
        changes: MemberChanges,
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        """Write changes that do not depend on the current members."""
        values: dict[str, Any] = {
            path.attribute.name: value
            for path, value in changes.assignments.items()
            if value is not None
        }
        fields = [field_name(path) or "" for path in changes.assignments]
        members = pb.MemberChange(
            clear=changes.replace,
            remove_member_ids=changes.remove,
            add_member_ids=changes.add,
            keep_unknown=True,
        )
        group = to_group(values)
        return await self._update(request, group, fields, members, etag=etag, returned=returned)

    async def _patch_by_reading(
        self,
        request: ScimRequest,
        operations: Sequence[Operation],
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        """Read the group with all members, apply the operations, and write the group."""
        group = await self._get(request)
        require_version(etag, group.etag)
        async with request.memory.for_part() as memory:
            members = await self._all_members(request, group, memory)
            before = from_group(group, members, request.base_url)
            after = await apply_patch(request, GROUP, before, operations)
            return await self._update(
                request,
                to_group(after),
                GROUP_FIELDS,
                _replace_members(after),
                etag=group.etag,
                returned=returned,
            )

    async def _all_members(
        self, request: ScimRequest, group: pb.Group, memory: ResponseReservation
    ) -> list[pb.Member]:
        """All members, with names; refuses (400 tooMany) more than MAX_PATCHED_MEMBERS."""
        message = _list_members_request(request, _MEMBER_ATTRIBUTES, group)
        members: list[pb.Member] = []
        async with aclosing(self._client.members(message, request.origin)) as pages:
            async for page in pages:
                members += page
                if len(members) > MAX_PATCHED_MEMBERS:
                    raise too_many(
                        f"The group has more than {MAX_PATCHED_MEMBERS} members, and this PATCH "
                        "depends on all of them. Remove members by id, as in "
                        'members[value eq "…"], or replace all members.'
                    )
                if len(members) >= NAMED_MEMBERS_PAGE and not memory.size:
                    await memory.acquire(PATCH_MEMORY)
        return members

    async def _get(self, request: ScimRequest) -> pb.Group:
        return await self._client.get(
            pb.GetGroupRequest(
                organization_id=request.organization_id, group_id=request.resource_id
            ),
            request.origin,
        )

    async def _update(
        self,
        request: ScimRequest,
        group: pb.Group,
        fields: Sequence[str],
        members: pb.MemberChange,
        *,
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        group.id = request.resource_id
        return await self._client.update(
            pb.UpdateGroupRequest(
                organization_id=request.organization_id,
                group=group,
                update_mask=FieldMask(paths=fields),
                members=members,
                etag=etag,
                member_view=returned,
            ),
            request.origin,
        )

    async def _etag(self, request: ScimRequest) -> str:
        async def current() -> str:
            return (await self._get(request)).etag

        return await wanted_etag(request, current)

    async def _response(
        self,
        request: ScimRequest,
        projection: Projection,
        group: pb.Group,
        status: int = 200,
        members: Sequence[pb.Member] | None = None,
    ) -> ScimResponse:
        """The response with a group; its members are read unless they are given."""
        document = from_group(group, (), request.base_url)
        headers, head = resource_headers(document), dumps(projection.apply(document))
        if not projection.includes("members"):
            return ScimResponse(status, head, headers)
        pages = self._pages(request, projection, group) if members is None else _one_page(members)
        parts = _json(request, projection, head, pages)
        return await streamed_response(request, parts, headers, status)

    async def _write_response(
        self,
        request: ScimRequest,
        projection: Projection,
        written: Written,
        status: int = 200,
    ) -> ScimResponse:
        """The response to a write; without the group if there is no memory for it.

        The write succeeded, so an error would be wrong, and clients would repeat the write.
        """
        try:
            return await self._response(
                request, projection, written.group, status, _returned_members(written)
            )
        except RejectedError:
            headers = resource_headers(from_group(written.group, (), request.base_url))
            return ScimResponse(status if status == 201 else 204, headers=headers)

    def _list_json(
        self, request: ScimRequest, projection: Projection, groups: Sequence[pb.Group]
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Groups as JSON, separated by commas."""
        if len(groups) <= SMALL_LIST and not projection.includes("members"):
            return b",".join(_head_json(request, projection, group) for group in groups)
        return self._many_json(request, projection, groups)

    async def _many_json(
        self, request: ScimRequest, projection: Projection, groups: Iterable[pb.Group]
    ) -> AsyncGenerator[bytes, None]:
        comma = b""
        for group in groups:
            head = comma + _head_json(request, projection, group)
            comma = b","
            if not projection.includes("members"):
                yield head
                continue
            pages = self._pages(request, projection, group)
            async with aclosing(_json(request, projection, head, pages)) as parts:
                async for part in parts:
                    yield part

    def _pages(self, request: ScimRequest, projection: Projection, group: pb.Group) -> Pages:
        return self._client.members(
            _list_members_request(request, projection, group), request.origin
        )


async def _json(
    request: ScimRequest, projection: Projection, head: bytes, pages: Pages
) -> AsyncGenerator[bytes, None]:
    """A group as JSON: `head` is the group without members; the members follow page by page.

    A group without members has no attribute `members`.
    """
    before, after = head[:-1] + b',"members":[', head
    async with aclosing(pages):
        async for page in pages:
            listed = from_members(page, request.base_url)
            members = projection.apply({"members": listed}).get("members")
            if members:
                yield before + dumps(members)[1:-1]
                before, after = b",", b"]}"
    yield after


async def _one_page(members: Sequence[pb.Member]) -> Pages:
    yield members


def _small_response(
    request: ScimRequest, projection: Projection, updated: pb.UpdateGroupResponse
) -> ScimResponse:
    """The response to a PATCH: the group if usersvc returned its members, else 204."""
    members = _returned_members(updated)
    if members is None:
        return no_content(updated.group.etag)
    document = from_group(updated.group, members, request.base_url)
    return resource_response(projection.apply(document), document)


def _returned_members(written: Written) -> Sequence[pb.Member] | None:
    """The members that a write returned; None if there are too many, or none were requested."""
    return written.all_members.members if written.HasField("all_members") else None


def _member_view(projection: Projection) -> pb.MemberView | None:
    """The members that a write is to return for its response; None for no members."""
    if not projection.includes("members"):
        return None
    return pb.MemberView(
        max_members=MAX_RETURNED_MEMBERS,
        omit_display_names=not projection.includes("members", "display"),
    )


def _member_view_if_small(
    request: ScimRequest, projection: Projection, document: Resource
) -> pb.MemberView | None:
    """`_member_view` for a document with all members; those of a large group are read in pages."""
    is_small = len(document.get("members", ())) <= MAX_RETURNED_MEMBERS
    return _member_view(projection) if is_small and not request.omits_body else None


async def _reserve_response(
    request: ScimRequest, projection: Projection, document: Resource
) -> None:
    """Reserve memory for a response with a large group before the group is written.

    A rejection after the write would make a client create the group twice.
    """
    is_large = len(document.get("members", ())) > SMALL_RESPONSE
    if is_large and projection.includes("members") and not request.omits_body:
        await request.memory.acquire(STREAM_BYTES)


def _head_json(request: ScimRequest, projection: Projection, group: pb.Group) -> bytes:
    """A group as JSON without its members."""
    return dumps(projection.apply(from_group(group, (), request.base_url)))


def _read_patch(
    document: Mapping[str, Any],
) -> tuple[tuple[Operation, ...], MemberChanges | None]:
    """The operations of a PATCH, and the equivalent change of members, if there is one."""
    operations = parse_patch(document)
    return operations, member_changes(GROUP, operations)


def _list_members_request(
    request: ScimRequest, projection: Projection, group: pb.Group
) -> pb.ListMembersRequest:
    return pb.ListMembersRequest(
        organization_id=request.organization_id,
        group_id=group.id,
        omit_display_names=not projection.includes("members", "display"),
    )


def _replace_members(document: Resource) -> pb.MemberChange:
    """The change that replaces all members by the members of a document."""
    return pb.MemberChange(clear=True, add_member_ids=member_ids(document), keep_unknown=True)
