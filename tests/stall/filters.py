"""Filters at their limits, as documents of `/.search`."""

import json
from collections.abc import Mapping
from typing import Final

from gateway.scim.filter import MAX_LENGTH
from tests.stall.bodies import Body
from tests.stall.texts import TEXTS, Text


def _filter(text: Text) -> Body:
    return lambda size: json.dumps({"filter": text(size - 64)[:MAX_LENGTH]}).encode()


def _filter_of(unit: str, join: str) -> Body:
    def body(size: int) -> bytes:
        count = max(1, min(190, (size - 64) // (len(unit) + len(join))))
        return json.dumps({"filter": join.join([unit] * count)}).encode()

    return body


COSTLY: Final[Mapping[str, Body]] = {
    "a filter of 100 conditions": _filter_of('title co "ab"', " or "),
    "a filter of value paths": _filter_of('emails[type eq "w" and value co "a"]', " or "),
    "a filter of negations": _filter_of('not (title co "ab")', " and "),
    "a filter of conditions on values": _filter_of('emails.value co "ab"', " or "),
    "a filter of conditions on groups": _filter_of('groups.display co "ab"', " or "),
}
FILTERS: Final[Mapping[str, Body]] = {
    **{f"a filter of {name}": _filter(text) for name, text in TEXTS.items()},
    **COSTLY,
}
"""All of them."""
