"""The endpoint /Groups (RFC 7644 section 3).

Members are sets that only usersvc knows: no request that changes some of them reads the others. A
write returns the members of a small group; those of a large one are read in pages while the
response is sent.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeAlias

from cloudacademy.users.v1 import groups_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.patching import patched
from gateway.api.query.search import Found, Part
from gateway.api.request import STREAM_BYTES, ScimRequest, streamed_answer
from gateway.api.versions import (
    not_modified,
    require_version,
    unraced,
    wanted_etag,
    without_content,
)
from gateway.backend.groups import NAMED_MEMBERS_PAGE, GroupClient
from gateway.convert import group as wire_group
from gateway.convert import user as wire
from gateway.http.response_memory import MEBIBYTE, MEMORY_PER_LISTED_BYTE, Reservation
from gateway.http.responses import ScimResponse, resource_answer, resource_headers
from gateway.limits.rejections import RejectedError
from gateway.scim import patch as scim_patch
from gateway.scim import projection, resource
from gateway.scim.errors import too_many
from gateway.scim.responses import dumps
from gateway.scim.schema import GROUP

EVERYTHING: Final = projection.parse(GROUP, "members.value,members.type,members.display", None)
"""The attributes of members that a PATCH may depend on."""
MAX_ANSWERED_MEMBERS: Final = 20
"""The most members that a write returns. A PATCH of a larger group is answered with 204."""
SMALL_ANSWER: Final = 100
"""A change of up to so many members is answered without reserving memory before it."""
MAX_PATCHED_MEMBERS: Final = 10_000
"""A PATCH that depends on all members takes groups of up to this many."""
PATCH_MEMORY: Final = 16 * MEBIBYTE
"""Memory for this many members with their names."""
SMALL_LIST: Final = 100
GROUP_MEMORY: Final = 8 * 1024
"""Memory for each group of a longer list, with the longest texts that are allowed."""

Written: TypeAlias = pb.CreateGroupResponse | pb.UpdateGroupResponse
Pages: TypeAlias = AsyncGenerator[Sequence[pb.Member], None]


class Groups:
    """The groups of the caller's organization."""

    resource_type = GROUP

    def __init__(self, client: GroupClient) -> None:
        self._client = client

    async def create(self, exchange: ScimRequest) -> ScimResponse:
        """POST /Groups (section 3.3)."""
        view = exchange.projection(GROUP)
        document = await exchange.parsed(partial(resource.read, GROUP))
        await _reserve_answer(exchange, view, document)
        created = await self._client.create(
            pb.CreateGroupRequest(
                organization_id=exchange.organization_id,
                group=wire_group.to_group(document),
                member_ids=wire_group.member_ids(document),
                keep_unknown_members=True,
                member_view=_view_of_small(exchange, view, document),
            ),
            exchange.origin,
        )
        return await self._changed(exchange, view, created, 201)

    async def get(self, exchange: ScimRequest) -> ScimResponse:
        """GET /Groups/{id} (section 3.4.1)."""
        view = exchange.projection(GROUP)
        group = await self._get(exchange)
        if unmodified := not_modified(exchange, group.etag):
            return unmodified
        return await self._answer(exchange, view, group)

    async def page(self, exchange: ScimRequest, view: projection.Projection, part: Part) -> Found:
        """A part of the list of groups, for queries (section 3.4.2)."""
        reserved = part.size * GROUP_MEMORY if part.size > SMALL_LIST else 0
        await exchange.memory.grow(reserved)
        response = await self._client.list(
            pb.ListGroupsRequest(
                organization_id=exchange.organization_id,
                filter=part.filter,
                order_by=part.order_by,
                page_size=part.size,
                page_token=part.page_token,
                skip=part.skip,
                count_total=part.count_total,
                omit_groups=part.size == 0,
            ),
            exchange.origin,
        )
        exchange.memory.shrink(reserved - response.ByteSize() * MEMORY_PER_LISTED_BYTE)
        groups = self._list_json(exchange, view, response.groups)
        return Found(len(response.groups), groups, response.total_size, response.next_page_token)

    async def replace(self, exchange: ScimRequest) -> ScimResponse:
        """PUT /Groups/{id} (section 3.5.1): what the client leaves out is cleared."""
        view = exchange.projection(GROUP)
        document = await exchange.parsed(partial(resource.read, GROUP))
        members = _exactly(document)
        await _reserve_answer(exchange, view, document)
        updated = await self._update(
            exchange,
            wire_group.to_group(document),
            wire_group.GROUP_FIELDS,
            members,
            etag=await self._etag(exchange),
            returned=_view_of_small(exchange, view, document),
        )
        return await self._changed(exchange, view, updated)

    async def patch(self, exchange: ScimRequest) -> ScimResponse:
        """PATCH /Groups/{id} (section 3.5.2), all operations or none.

        Answered with the group as long as it is small, and with 204 when it is
        large: no answer to a change of one member grows with the group.
        """
        view = exchange.projection(GROUP)
        operations, changes = await exchange.parsed(_read_patch)
        etag = await self._etag(exchange)
        returned = _member_view(view)
        if changes is None:
            updated = await unraced(
                lambda: self._patch_read(exchange, operations, etag, returned), etag
            )
        else:
            updated = await self._patch_unread(exchange, changes, etag, returned)
        if exchange.parameter("attributes") or not view.includes("members"):
            return await self._changed(exchange, view, updated)
        return _small_answer(exchange, view, updated)

    async def delete(self, exchange: ScimRequest) -> ScimResponse:
        """DELETE /Groups/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteGroupRequest(
                organization_id=exchange.organization_id,
                group_id=exchange.resource_id,
                etag=await self._etag(exchange),
            ),
            exchange.origin,
        )
        return ScimResponse(204)

    async def _patch_unread(
        self,
        exchange: ScimRequest,
        changes: scim_patch.MemberChanges,
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        """Write what does not depend on what the group holds."""
        values: dict[str, Any] = {
            path.attribute.name: value
            for path, value in changes.assignments.items()
            if value is not None
        }
        fields = [wire.field_name(path) or "" for path in changes.assignments]
        members = pb.MemberChange(
            clear=changes.replace,
            remove_member_ids=changes.remove,
            add_member_ids=changes.add,
            keep_unknown=True,
        )
        group = wire_group.to_group(values)
        return await self._update(exchange, group, fields, members, etag=etag, returned=returned)

    async def _patch_read(
        self,
        exchange: ScimRequest,
        operations: Sequence[scim_patch.Operation],
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        """Read with all members, apply, write."""
        group = await self._get(exchange)
        require_version(etag, group.etag)
        async with exchange.memory.for_part() as memory:
            members = await self._few_members(exchange, group, memory)
            before = wire_group.from_group(group, members, exchange.base_url)
            after = await patched(exchange, GROUP, before, operations)
            return await self._update(
                exchange,
                wire_group.to_group(after),
                wire_group.GROUP_FIELDS,
                _exactly(after),
                etag=group.etag,
                returned=returned,
            )

    async def _few_members(
        self, exchange: ScimRequest, group: pb.Group, memory: Reservation
    ) -> list[pb.Member]:
        """All members with their names; refuses (400 tooMany) more than MAX_PATCHED_MEMBERS."""
        request = _members_of(exchange, EVERYTHING, group)
        found: list[pb.Member] = []
        async with aclosing(self._client.members(request, exchange.origin)) as pages:
            async for page in pages:
                found += page
                if len(found) > MAX_PATCHED_MEMBERS:
                    raise too_many(
                        f"The group has more than {MAX_PATCHED_MEMBERS} members, and this PATCH "
                        "depends on all of them. Name those to remove by their ids, as in "
                        'members[value eq "…"], or replace all.'
                    )
                if len(found) >= NAMED_MEMBERS_PAGE and not memory.size:
                    await memory.grow(PATCH_MEMORY)
        return found

    async def _get(self, exchange: ScimRequest) -> pb.Group:
        return await self._client.get(
            pb.GetGroupRequest(
                organization_id=exchange.organization_id, group_id=exchange.resource_id
            ),
            exchange.origin,
        )

    async def _update(
        self,
        exchange: ScimRequest,
        group: pb.Group,
        fields: Sequence[str],
        members: pb.MemberChange,
        *,
        etag: str,
        returned: pb.MemberView | None,
    ) -> pb.UpdateGroupResponse:
        group.id = exchange.resource_id
        return await self._client.update(
            pb.UpdateGroupRequest(
                organization_id=exchange.organization_id,
                group=group,
                update_mask=FieldMask(paths=fields),
                members=members,
                etag=etag,
                member_view=returned,
            ),
            exchange.origin,
        )

    async def _etag(self, exchange: ScimRequest) -> str:
        async def current() -> str:
            return (await self._get(exchange)).etag

        return await wanted_etag(exchange, current)

    async def _answer(
        self,
        exchange: ScimRequest,
        view: projection.Projection,
        group: pb.Group,
        status: int = 200,
        members: Sequence[pb.Member] | None = None,
    ) -> ScimResponse:
        """The group; its members are read unless they are given."""
        document = wire_group.from_group(group, (), exchange.base_url)
        headers, shown = resource_headers(document), dumps(view.apply(document))
        if not view.includes("members"):
            return ScimResponse(status, shown, headers)
        pages = self._pages(exchange, view, group) if members is None else _one_page(members)
        parts = _json(exchange, view, shown, pages)
        return await streamed_answer(exchange, parts, headers, status)

    async def _changed(
        self,
        exchange: ScimRequest,
        view: projection.Projection,
        written: Written,
        status: int = 200,
    ) -> ScimResponse:
        """The answer to a change; without the group while there is no memory to return it.

        The change was made, so a refusal would be wrong, and lead clients to repeat it.
        """
        try:
            return await self._answer(exchange, view, written.group, status, _members(written))
        except RejectedError:
            headers = resource_headers(wire_group.from_group(written.group, (), exchange.base_url))
            return ScimResponse(status if status == 201 else 204, headers=headers)

    def _list_json(
        self, exchange: ScimRequest, view: projection.Projection, groups: Sequence[pb.Group]
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Groups as JSON with commas between them."""
        if len(groups) <= SMALL_LIST and not view.includes("members"):
            return b",".join(_shown(exchange, view, group) for group in groups)
        return self._many_json(exchange, view, groups)

    async def _many_json(
        self, exchange: ScimRequest, view: projection.Projection, groups: Iterable[pb.Group]
    ) -> AsyncGenerator[bytes, None]:
        comma = b""
        for group in groups:
            shown = comma + _shown(exchange, view, group)
            comma = b","
            if not view.includes("members"):
                yield shown
                continue
            pages = self._pages(exchange, view, group)
            async with aclosing(_json(exchange, view, shown, pages)) as parts:
                async for part in parts:
                    yield part

    def _pages(self, exchange: ScimRequest, view: projection.Projection, group: pb.Group) -> Pages:
        return self._client.members(_members_of(exchange, view, group), exchange.origin)


async def _json(
    exchange: ScimRequest, view: projection.Projection, shown: bytes, pages: Pages
) -> AsyncGenerator[bytes, None]:
    """A group as JSON: `shown` is all of it but its members, which follow page by page.

    Without members it has no attribute `members`.
    """
    before, after = shown[:-1] + b',"members":[', shown
    async with aclosing(pages):
        async for page in pages:
            listed = wire_group.from_members(page, exchange.base_url)
            members = view.apply({"members": listed}).get("members")
            if members:
                yield before + dumps(members)[1:-1]
                before, after = b",", b"]}"
    yield after


async def _one_page(members: Sequence[pb.Member]) -> Pages:
    yield members


def _small_answer(
    exchange: ScimRequest, view: projection.Projection, updated: pb.UpdateGroupResponse
) -> ScimResponse:
    """The answer to a PATCH: the group if its members were returned, else 204."""
    members = _members(updated)
    if members is None:
        return without_content(updated.group.etag)
    document = wire_group.from_group(updated.group, members, exchange.base_url)
    return resource_answer(view.apply(document), document)


def _members(written: Written) -> Sequence[pb.Member] | None:
    """The members that a write returned; None if the group has too many, or none were wanted."""
    return written.all_members.members if written.HasField("all_members") else None


def _member_view(view: projection.Projection) -> pb.MemberView | None:
    """The members that a write returns for its answer."""
    if not view.includes("members"):
        return None
    return pb.MemberView(
        max_members=MAX_ANSWERED_MEMBERS, omit_display_names=not view.includes("members", "display")
    )


def _view_of_small(
    exchange: ScimRequest, view: projection.Projection, document: wire.Resource
) -> pb.MemberView | None:
    """The same for a document with all members; those of a large group are read in pages."""
    is_small = len(document.get("members", ())) <= MAX_ANSWERED_MEMBERS
    return _member_view(view) if is_small and not exchange.omits_body else None


async def _reserve_answer(
    exchange: ScimRequest, view: projection.Projection, document: wire.Resource
) -> None:
    """Reserve the memory to answer a change with a large group, before the change is made.

    A refusal after it would lead a client to create the group twice.
    """
    is_large = len(document.get("members", ())) > SMALL_ANSWER
    if is_large and view.includes("members") and not exchange.omits_body:
        await exchange.memory.grow(STREAM_BYTES)


def _shown(exchange: ScimRequest, view: projection.Projection, group: pb.Group) -> bytes:
    """A group as JSON without its members."""
    return dumps(view.apply(wire_group.from_group(group, (), exchange.base_url)))


def _read_patch(
    document: Mapping[str, Any],
) -> tuple[tuple[scim_patch.Operation, ...], scim_patch.MemberChanges | None]:
    """The operations of a PATCH, and the change of members that they come down to, if they do."""
    operations = scim_patch.parse(document)
    return operations, scim_patch.member_changes(GROUP, operations)


def _members_of(
    exchange: ScimRequest, view: projection.Projection, group: pb.Group
) -> pb.ListMembersRequest:
    return pb.ListMembersRequest(
        organization_id=exchange.organization_id,
        group_id=group.id,
        omit_display_names=not view.includes("members", "display"),
    )


def _exactly(document: wire.Resource) -> pb.MemberChange:
    """The change that makes the members those of a document."""
    return pb.MemberChange(
        clear=True, add_member_ids=wire_group.member_ids(document), keep_unknown=True
    )
