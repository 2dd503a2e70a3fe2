"""The parameters of a query, from a URL or from a SearchRequest (RFC 7644 section 3.4.3)."""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final

from gateway.scim import paging
from gateway.scim.errors import ScimError, describe, invalid_value
from gateway.scim.resource import check_schemas, lower_keys


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The parameters of a query as the client sent them; None if missing."""

    attributes: str | None = None
    excluded_attributes: str | None = None
    filter: str | None = None
    sort_by: str | None = None
    sort_order: str | None = None
    start_index: str | None = None
    count: str | None = None
    cursor: str | None = None

    def __post_init__(self) -> None:
        if self.cursor is not None and self.start_index is not None:
            # RFC 9865 section 2.4: they request different kinds of pagination.
            raise invalid_value("Send either startIndex or cursor, not both.")

    def page_size(self) -> int:
        """The most resources on a page with cursor pagination; a negative count is 0.

        Refuses (invalidCount) a count that is not a number or above the limit of a page: RFC 9865
        section 2.1 does not clamp it.
        """
        if self.count is None:
            return paging.DEFAULT_PAGE_SIZE
        text = self.count.strip()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _COUNT_DIGITS):
            raise invalid_count()
        size = max(int(text), 0)
        if size > paging.MAX_PAGE_SIZE:
            raise invalid_count()
        return size

    def identity(self) -> tuple[str | None, ...]:
        """The parameters that must be the same on every page (RFC 9865 section 2), except count."""
        return astuple(self)[:_IDENTITY_FIELDS]


SEARCH_REQUEST_URN: Final = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
_IDENTITY_FIELDS: Final = 5
_COUNT_DIGITS: Final = 9


def invalid_count() -> ScimError:
    """The error for an invalid count with cursor pagination."""
    return ScimError(
        400,
        "invalidCount",
        f"The count is not valid with a cursor. Send a number from 0 to {paging.MAX_PAGE_SIZE}, "
        "the same for every page of the list.",
    )


def from_parameters(parameters: Mapping[str, str]) -> SearchRequest:
    """The query of a GET; unknown parameters are ignored (section 3.4.2)."""
    return SearchRequest(*(parameters.get(name) for name in _READERS))


def from_document(document: Mapping[str, Any]) -> SearchRequest:
    """The query of a POST to /.search.

    Refuses a member that is given twice in two spellings and the `schemas` of another message
    (invalidSyntax), and a member whose type
    differs from section 3.4.3 (invalidValue).
    """
    members = lower_keys(document, "The SearchRequest")
    check_schemas(members, SEARCH_REQUEST_URN)
    return SearchRequest(
        *(read(name, members.get(name.lower())) for name, read in _READERS.items())
    )


def _names(name: str, value: object) -> str | None:
    """Attribute names: in a document they are an array, in a URL joined by commas."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid_value(f"{name} is {describe(value)}; send an array of attribute names.")
    return ",".join(value)


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid_value(f"{name} is {describe(value)}; send a string.")


def _number(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_value(f"{name} is {describe(value)}; send a whole number.")
    return str(value)


_Reader = Callable[[str, object], str | None]

# In the order of SearchRequest's fields.
_READERS: Final[Mapping[str, _Reader]] = {
    "attributes": _names,
    "excludedAttributes": _names,
    "filter": _text,
    "sortBy": _text,
    "sortOrder": _text,
    "startIndex": _number,
    "count": _number,
    "cursor": _text,
}
