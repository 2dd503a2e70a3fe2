"""The endpoint /Groups (RFC 7644 section 3).

Members are sets that only usersvc knows: no request that changes some of them reads the others, and
none is answered with all of them at once: they are read in pages while the response is sent.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from cloudacademy.users.v1 import groups_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.api.patching import patched
from gateway.api.preconditions import is_known
from gateway.api.query.search import Found, Part
from gateway.api.request import STREAM_BYTES, Exchange, streamed_answer
from gateway.api.versions import changed, unraced, wanted_etag
from gateway.backend.groups import NAMED_MEMBERS_PAGE, GroupClient
from gateway.convert import group as wire_group
from gateway.convert import user as wire
from gateway.http.response_memory import MEBIBYTE, MEMORY_PER_LISTED_BYTE, Reservation
from gateway.http.responses import Answer, resource_answer, resource_headers
from gateway.limits.rejections import TurnedAwayError
from gateway.scim import patch as scim_patch
from gateway.scim import projection, resource
from gateway.scim.errors import too_many
from gateway.scim.responses import dumps
from gateway.scim.schema import GROUP

EVERYTHING: Final = projection.parse(GROUP, "members.value,members.type,members.display", None)
"""The attributes of members that a PATCH may depend on."""
MAX_ANSWERED_MEMBERS: Final = 20
"""How many members a group has at most that a PATCH answers with."""
SMALL_ANSWER: Final = 100
"""A change of up to so many members is answered without reserving memory before it."""
MAX_PATCHED_MEMBERS: Final = 10_000
"""A PATCH that depends on all members takes groups of up to this many."""
PATCH_MEMORY: Final = 16 * MEBIBYTE
"""Memory for this many members with their names."""
SMALL_LIST: Final = 100
GROUP_MEMORY: Final = 8 * 1024
"""Memory for each group of a longer list, with the longest texts that are allowed."""


class Groups:
    """The groups of the caller's organization."""

    resource_type = GROUP

    def __init__(self, client: GroupClient) -> None:
        self._client = client

    async def create(self, exchange: Exchange) -> Answer:
        """POST /Groups (section 3.3)."""
        view = _projection(exchange)
        document = await exchange.parsed(partial(resource.read, GROUP))
        await _reserve_answer(exchange, view, document)
        created = await self._client.create(
            pb.CreateGroupRequest(
                organization_id=exchange.organization_id,
                group=wire_group.to_group(document),
                member_ids=wire_group.member_ids(document),
                keep_unknown_members=True,
            ),
            exchange.origin,
        )
        return await self._changed(exchange, view, created, 201)

    async def get(self, exchange: Exchange) -> Answer:
        """GET /Groups/{id} (section 3.4.1)."""
        view = _projection(exchange)
        group = await self._get(exchange)
        if is_known(exchange.header("If-None-Match"), group.etag):
            return Answer(304, headers={"ETag": wire.etag_header(group.etag)})
        return await self._answer(exchange, view, group)

    async def page(self, exchange: Exchange, view: projection.Projection, part: Part) -> Found:
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

    async def replace(self, exchange: Exchange) -> Answer:
        """PUT /Groups/{id} (section 3.5.1): what the client leaves out is cleared."""
        view = _projection(exchange)
        document = await exchange.parsed(partial(resource.read, GROUP))
        members = _exactly(document)
        await _reserve_answer(exchange, view, document)
        updated = await self._update(
            exchange,
            wire_group.to_group(document),
            wire_group.GROUP_FIELDS,
            members,
            await self._etag(exchange),
        )
        return await self._changed(exchange, view, updated)

    async def patch(self, exchange: Exchange) -> Answer:
        """PATCH /Groups/{id} (section 3.5.2), all operations or none.

        Answered with the group as long as it is small, and with 204 when it is
        large: no answer to a change of one member grows with the group.
        """
        view = _projection(exchange)
        operations, changes = await exchange.parsed(_read_patch)
        etag = await self._etag(exchange)
        if changes is None:
            group = await unraced(lambda: self._patch_read(exchange, operations, etag), etag)
        else:
            group = await self._patch_unread(exchange, changes, etag)
        if exchange.parameter("attributes") or not view.includes("members"):
            return await self._changed(exchange, view, group)
        return await self._small_answer(exchange, view, group)

    async def delete(self, exchange: Exchange) -> Answer:
        """DELETE /Groups/{id} (section 3.6)."""
        await self._client.delete(
            pb.DeleteGroupRequest(
                organization_id=exchange.organization_id,
                group_id=exchange.resource_id,
                etag=await self._etag(exchange),
            ),
            exchange.origin,
        )
        return Answer(204)

    async def _patch_unread(
        self, exchange: Exchange, changes: scim_patch.MemberChanges, etag: str
    ) -> pb.Group:
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
        return await self._update(exchange, wire_group.to_group(values), fields, members, etag)

    async def _patch_read(
        self, exchange: Exchange, operations: Sequence[scim_patch.Operation], etag: str
    ) -> pb.Group:
        """Read with all members, apply, write."""
        group = await self._get(exchange)
        if etag and group.etag != etag:
            raise changed()
        async with exchange.memory.for_part() as memory:
            members = await self._few_members(exchange, group, memory)
            before = wire_group.from_group(group, members, exchange.base_url)
            after = await patched(exchange, GROUP, before, operations)
            return await self._update(
                exchange,
                wire_group.to_group(after),
                wire_group.GROUP_FIELDS,
                _exactly(after),
                group.etag,
            )

    async def _few_members(
        self, exchange: Exchange, group: pb.Group, memory: Reservation
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

    async def _get(self, exchange: Exchange) -> pb.Group:
        return await self._client.get(
            pb.GetGroupRequest(
                organization_id=exchange.organization_id, group_id=exchange.resource_id
            ),
            exchange.origin,
        )

    async def _update(
        self,
        exchange: Exchange,
        group: pb.Group,
        fields: Sequence[str],
        members: pb.MemberChange,
        etag: str,
    ) -> pb.Group:
        group.id = exchange.resource_id
        return await self._client.update(
            pb.UpdateGroupRequest(
                organization_id=exchange.organization_id,
                group=group,
                update_mask=FieldMask(paths=fields),
                members=members,
                etag=etag,
            ),
            exchange.origin,
        )

    async def _etag(self, exchange: Exchange) -> str:
        async def current() -> str:
            return (await self._get(exchange)).etag

        return await wanted_etag(exchange, current)

    async def _answer(
        self,
        exchange: Exchange,
        view: projection.Projection,
        group: pb.Group,
        status: int = 200,
    ) -> Answer:
        document = wire_group.from_group(group, (), exchange.base_url)
        headers, shown = resource_headers(document), dumps(view.apply(document))
        if not view.includes("members"):
            return Answer(status, shown, headers)
        parts = self._json(exchange, view, group, shown)
        return await streamed_answer(exchange, parts, headers, status)

    async def _changed(
        self,
        exchange: Exchange,
        view: projection.Projection,
        group: pb.Group,
        status: int = 200,
    ) -> Answer:
        """The answer to a change; without the group while there is no memory to return it.

        The change was made, so a refusal would be wrong, and lead clients to repeat it.
        """
        try:
            return await self._answer(exchange, view, group, status)
        except TurnedAwayError:
            headers = resource_headers(wire_group.from_group(group, (), exchange.base_url))
            return Answer(status if status == 201 else 204, headers=headers)

    async def _small_answer(
        self, exchange: Exchange, view: projection.Projection, group: pb.Group
    ) -> Answer:
        members = await self._client.first_members(
            _members_of(exchange, view, group), MAX_ANSWERED_MEMBERS, exchange.origin
        )
        if members is None:
            return Answer(204, headers={"ETag": wire.etag_header(group.etag)})
        document = wire_group.from_group(group, members, exchange.base_url)
        return resource_answer(view.apply(document), document)

    def _list_json(
        self, exchange: Exchange, view: projection.Projection, groups: Sequence[pb.Group]
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Groups as JSON with commas between them."""
        if len(groups) <= SMALL_LIST and not view.includes("members"):
            return b",".join(_shown(exchange, view, group) for group in groups)
        return self._many_json(exchange, view, groups)

    async def _many_json(
        self, exchange: Exchange, view: projection.Projection, groups: Iterable[pb.Group]
    ) -> AsyncGenerator[bytes, None]:
        comma = b""
        for group in groups:
            shown = comma + _shown(exchange, view, group)
            comma = b","
            if not view.includes("members"):
                yield shown
                continue
            async with aclosing(self._json(exchange, view, group, shown)) as parts:
                async for part in parts:
                    yield part

    async def _json(
        self, exchange: Exchange, view: projection.Projection, group: pb.Group, shown: bytes
    ) -> AsyncGenerator[bytes, None]:
        """A group as JSON: `shown` is all of it but its members, which follow page by page.

        Without members it has no attribute `members`.
        """
        request = _members_of(exchange, view, group)
        before, after = shown[:-1] + b',"members":[', shown
        async with aclosing(self._client.members(request, exchange.origin)) as pages:
            async for page in pages:
                listed = wire_group.from_members(page, exchange.base_url)
                members = view.apply({"members": listed}).get("members")
                if members:
                    yield before + dumps(members)[1:-1]
                    before, after = b",", b"]}"
        yield after


async def _reserve_answer(
    exchange: Exchange, view: projection.Projection, document: wire.Resource
) -> None:
    """Reserve the memory to answer a change with a large group, before the change is made.

    A refusal after it would lead a client to create the group twice.
    """
    is_large = len(document.get("members", ())) > SMALL_ANSWER
    if is_large and view.includes("members") and not exchange.omits_body:
        await exchange.memory.grow(STREAM_BYTES)


def _shown(exchange: Exchange, view: projection.Projection, group: pb.Group) -> bytes:
    """A group as JSON without its members."""
    return dumps(view.apply(wire_group.from_group(group, (), exchange.base_url)))


def _read_patch(
    document: Mapping[str, Any],
) -> tuple[tuple[scim_patch.Operation, ...], scim_patch.MemberChanges | None]:
    """The operations of a PATCH, and the change of members that they come down to, if they do."""
    operations = scim_patch.parse(document)
    return operations, scim_patch.member_changes(GROUP, operations)


def _members_of(
    exchange: Exchange, view: projection.Projection, group: pb.Group
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


def _projection(exchange: Exchange) -> projection.Projection:
    return projection.parse(
        GROUP, exchange.parameter("attributes"), exchange.parameter("excludedAttributes")
    )
