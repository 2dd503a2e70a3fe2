"""What a query asks for, as URL parameters or as a SearchRequest (RFC 7644 section 3.4.3)."""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final

from gateway.scim import paging
from gateway.scim.errors import ScimError, invalid_value, shown
from gateway.scim.resource import check_schemas, lower_keys


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A query in the words of the client; None is what it does not say."""

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
            # RFC 9865 section 2.4: each of the two asks for another way of paging.
            raise invalid_value("Send either startIndex or cursor, not both.")

    def size(self) -> int:
        """How many resources a page by cursor holds at most.

        Refuses (invalidCount) what is no number, and more than the largest page:
        by cursor, RFC 9865 section 2.1 does not bring that within the limits. A
        negative count is 0 (section 2).
        """
        if self.count is None:
            return paging.DEFAULT_PAGE
        text = self.count.strip()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _COUNT_DIGITS):
            raise invalid_count()
        size = max(int(text), 0)
        if size > paging.MAX_PAGE:
            raise invalid_count()
        return size

    def identity(self) -> tuple[str | None, ...]:
        """All that has to stay the same from page to page (RFC 9865 section 2), but the count."""
        return astuple(self)[:_IDENTITY_FIELDS]


_IDENTITY_FIELDS: Final = 5
_COUNT_DIGITS: Final = 9


def invalid_count() -> ScimError:
    """The refusal of a count that no page by cursor can have."""
    return ScimError(
        400,
        "invalidCount",
        f"The count is a number from 0 to {paging.MAX_PAGE}, and the same for every page of a "
        "list that is read by cursor.",
    )


def from_parameters(parameters: Mapping[str, str]) -> SearchRequest:
    """The query of a GET; parameters that are unknown are ignored (section 3.4.2)."""
    return SearchRequest(*(parameters.get(name) for name in _READERS))


def from_document(document: Mapping[str, Any]) -> SearchRequest:
    """The query of a POST to /.search.

    Refuses (invalidSyntax) a member that is given twice under two spellings,
    and (invalidValue) members of another type than section 3.4.3 gives them.
    """
    members = lower_keys(document, "The SearchRequest")
    check_schemas(members)
    return SearchRequest(
        *(read(name, members.get(name.lower())) for name, read in _READERS.items())
    )


def _names(name: str, value: object) -> str | None:
    """Attribute names: in a document they are an array, in a URL joined by commas."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid_value(f"{name} is {shown(value)}; send an array of attribute names.")
    return ",".join(value)


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid_value(f"{name} is {shown(value)}; send a string.")


def _number(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_value(f"{name} is {shown(value)}; send a whole number.")
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
