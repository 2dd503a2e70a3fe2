"""Filters at their limits, as documents of `/.search`."""

import json
from collections.abc import Mapping
from typing import Final

from gateway.scim.filter import MAX_LENGTH
from tools.stall.inputs.bodies import Body
from tools.stall.inputs.texts import TEXTS, Text


def _filter(text: Text) -> Body:
    return lambda size: json.dumps({"filter": text(size - 64)[:MAX_LENGTH]}).encode()


def _filter_of(unit: str, join: str, most: int) -> Body:
    """A valid filter with at most the maximum number of conditions, 200."""

    def body(size: int) -> bytes:
        count = max(1, min(most, (size - 64) // (len(unit) + len(join))))
        return json.dumps({"filter": join.join([unit] * count)}).encode()

    return body


COSTLY: Final[Mapping[str, Body]] = {
    "a filter of conditions": _filter_of('title co "ab"', " or ", 200),
    "a filter of value paths": _filter_of('emails[type eq "w" and value co "a"]', " or ", 100),
    "a filter of negated conditions": _filter_of('not (title co "ab")', " and ", 200),
    "a filter of conditions on values": _filter_of('emails.value co "ab"', " or ", 200),
    "a filter of conditions on groups": _filter_of('groups.display co "ab"', " or ", 200),
}
FILTERS: Final[Mapping[str, Body]] = {
    **{f"a filter of {name}": _filter(text) for name, text in TEXTS.items()},
    **COSTLY,
}
"""All filters."""
