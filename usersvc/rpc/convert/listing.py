"""Conversion that the lists of users and groups share: queries, page sizes and totals."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from cloudacademy.users.v1 import groups_pb2, users_pb2
from google.protobuf.message import Message

from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain.filters import Order, Page, Query
from usersvc.rpc import page_tokens
from usersvc.rpc.convert.filter import to_filter
from usersvc.store.listing import list_sql
from usersvc.store.listing.fields import Resource

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
MAX_PAGE_BYTES: Final = 3 * 1024 * 1024
"""The size limit of a page. gRPC clients accept messages of up to 4 MiB by default."""

ListRequest: TypeAlias = users_pb2.ListUsersRequest | groups_pb2.ListGroupsRequest


def to_query(request: ListRequest, resource: Resource) -> tuple[Query, str]:
    """The query of a list request, and the digest that its page tokens must contain."""
    organization_id = read_uuid("organization_id", request.organization_id)
    size = not_negative("page_size", request.page_size) or DEFAULT_PAGE_SIZE
    skip = not_negative("skip", request.skip)
    order = _to_order(request.order_by)
    kind = list_sql.order_field(order, resource).kind
    digest = page_tokens.digest(
        resource.table.encode(),
        organization_id.bytes,
        request.filter.SerializeToString(deterministic=True),
        request.order_by.encode(),
    )
    after = None
    if request.page_token:
        # `skip` applies to the first page only.
        after, skip = page_tokens.decode(request.page_token, digest, kind), 0
    query = Query(
        organization_id=organization_id,
        size=min(size, MAX_PAGE_SIZE),
        filter=to_filter(request.filter) if request.HasField("filter") else None,
        order=order,
        after=after,
        skip=skip,
    )
    return query, digest


def fitting(messages: Sequence[Message], limit: int = MAX_PAGE_BYTES) -> int:
    """The number of messages that fit into one response. The first one always fits."""
    size = 0
    for index, message in enumerate(messages):
        size += message.ByteSize()
        if size > limit and index:
            return index
    return len(messages)


def page_limit(max_bytes: int) -> int:
    """The size limit of a page for a caller that accepts `max_bytes`; 0 means no limit."""
    return min(max_bytes or MAX_PAGE_BYTES, MAX_PAGE_BYTES)


def omitted_bytes(message: Message, max_bytes: int) -> int:
    """The size of a message that exceeds the caller's limit, else 0."""
    size = message.ByteSize() if max_bytes else 0
    return size if size > max_bytes else 0


def known_total(query: Query, page: Page[Any]) -> int | None:
    """The total number of items if the list ends on its first page, else None."""
    if query.after is None and page.next is None and (page.items or not query.skip):
        return query.skip + len(page.items)
    return None


def not_negative(field: str, value: int) -> int:
    """Return a number of a request. Refuses (InvalidField) a negative number."""
    if value < 0:
        raise InvalidField(field, "is negative")
    return value


def _to_order(text: str) -> Order:
    """The order in a text of the form `field` or `field desc`. An empty text means by id."""
    field = text.removesuffix(" desc")
    return Order(field, descending=field != text) if text else Order()
