"""Queries at their limits. Percent-encoding makes a value three times as long."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from gateway.scim.filter import MAX_LENGTH
from tools.stall.inputs.texts import TEXTS, Text, repeated

LINE_BYTES: Final = 30_000


def _query(name: str, text: Text) -> Text:
    """A parameter with a percent-encoded value."""
    return lambda size: (
        f"{name}="
        + quote(text(min(size // 3, MAX_LENGTH)).encode(errors="surrogateescape"), safe="")
    )


def _conditions(unit: str) -> Text:
    """A valid filter with the maximum number of conditions."""
    return lambda size: " or ".join([unit] * min(90, size // (len(unit) + 4)))


ANY_QUERIES: Final[Mapping[str, Text]] = {
    "many parameters": repeated("a=b&"),
    "a query of escapes": repeated("%41"),
    "a query of truncated escapes": repeated("%4"),
}
SCIM_QUERIES: Final[Mapping[str, Text]] = {
    **ANY_QUERIES,
    "a filter of 90 conditions": _query("filter", _conditions('title co "ab"')),
    "a filter of 90 value paths": _query("filter", _conditions('emails[value co "ab"]')),
    "a filter of too many conditions": _query("filter", repeated('title co "ab" or ')),
    "a filter of parentheses": _query("filter", repeated("(")),
    "a filter of negations": _query("filter", repeated("not (")),
    "a filter of unassigned": _query("filter", lambda n: f'title co "{TEXTS["unassigned"](n)}"'),
    "a filter of escaped quotes": _query("filter", lambda n: 'title co "' + '\\"' * (n // 2)),
    "attributes that are known": _query("attributes", repeated("emails.value,name.givenName,")),
    "attributes that are unknown": _query("attributes", repeated("a.b,")),
    "excluded attributes": _query("excludedAttributes", repeated("emails.type,name,")),
    "sortBy of a value": lambda _: "sortBy=emails.value&count=1000",
    "sortBy of a sub-attribute": lambda _: "sortBy=name.familyName&count=1000&sortOrder=descending",
    "sortBy of dots": _query("sortBy", repeated("a.")),
    "a count of digits": _query("count", repeated("9")),
    "the largest page": lambda _: "count=1000000",
    "a page with a large startIndex": lambda _: "startIndex=99990&count=1000",
    "a cursor": _query("cursor", repeated("QUFB")),
    "a page by cursor": lambda _: "cursor&count=1000",
}
PAGE_QUERIES: Final[Mapping[str, Text]] = {
    **ANY_QUERIES,
    **{
        f"{name}={word}": _query(name, text)
        for name in ("q", "page", "next", "organization")
        for word, text in {"unassigned": TEXTS["unassigned"], "dots": repeated("a.")}.items()
    },
}
