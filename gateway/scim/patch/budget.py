"""Limits the work of one PATCH, so that no client can block the event loop for others."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.scim import filter as filters
from gateway.scim.errors import ScimError
from gateway.scim.filter import Compare, Filter, Operator
from gateway.scim.schema import Attribute, Type
from gateway.scim.values import Json

# A step costs about as much as one comparison with one value.
MAX_STEPS: Final = 400_000
STEPS_PER_CHARACTER: Final = 3  # of a filter that is read
STEPS_PER_EDIT: Final = 8  # of one value
_STEPS_PER_IDENTITY: Final = 2
_STEPS_PER_COMPARISON: Final = 5
_TEXT_PER_STEP: Final = 32
_FOLDING: Final = 12  # the cost of folding non-ASCII text, relative to ASCII
_LONGEST_SLOW_NEEDLE: Final = 100  # the search for a longer text is linear


class OverBudgetError(ScimError):
    """A PATCH needs more steps than allowed (400 tooMany)."""

    def __init__(self) -> None:
        super().__init__(
            400,
            "tooMany",
            "The PATCH needs too many comparisons of values. Send fewer operations at once,"
            " or filters with fewer conditions.",
        )


class Budget:
    """The remaining steps of a PATCH."""

    __slots__ = ("_remaining",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._remaining = steps

    def spend(self, steps: int) -> None:
        """Spend steps before the work is done; refuses (tooMany) if too few remain."""
        self._remaining -= steps
        if self._remaining < 0:
            raise OverBudgetError


def filter_steps(tree: Filter, elements: Sequence[Json]) -> int:
    """The steps to evaluate the filter of a value path on all elements."""
    nodes = list(filters.nodes(tree))
    compared: Counter[str | None] = Counter()
    for each in nodes:
        if isinstance(each, Compare):
            part = each.path.sub_attribute
            compared[part.name if part else None] += _steps_per_text(each)
    return len(elements) * len(nodes) + _text_steps(elements, compared)


def comparison_steps(elements: Sequence[Json], times: Counter[str | None]) -> int:
    """The steps to compare sub-attributes of all elements.

    `times` is the number of comparisons by sub-attribute; None stands for the element itself.
    """
    return len(elements) * _STEPS_PER_COMPARISON * times.total() + _text_steps(elements, times)


def identity_steps(attribute: Attribute, elements: Sequence[Json]) -> int:
    """The steps to compute the identity of all elements."""
    steps = len(elements) * _STEPS_PER_IDENTITY
    if attribute.type is not Type.COMPLEX:
        steps += _text_steps(elements, Counter([None]))
    elif not attribute.is_reference:
        steps += sum(map(_identity_characters, elements)) // _TEXT_PER_STEP
    return steps


def _identity_characters(element: Json) -> int:
    """The characters of the texts that identify a complex element."""
    if not element:
        return 0
    if "value" in element:
        return _weighted_length(element["value"]) + _weighted_length(element.get("type"))
    return sum(map(_weighted_length, element.values()))


def _steps_per_text(compare: Compare) -> int:
    if isinstance(compare.value, datetime):
        return 5
    if compare.operator is Operator.CO and isinstance(compare.value, str):
        return 1 + min(len(compare.value), _LONGEST_SLOW_NEEDLE) // 8
    return 1


def _text_steps(elements: Sequence[Json], times: Counter[str | None]) -> int:
    """The additional steps for long texts."""
    return sum(n * _characters(elements, name) for name, n in times.items()) // _TEXT_PER_STEP


def _characters(elements: Sequence[Json], name: str | None) -> int:
    found = (each if name is None else each.get(name) for each in elements)
    return sum(map(_weighted_length, found))


def _weighted_length(value: Json) -> int:
    """The length of a text, in characters that cost as much as ASCII; 0 for any other value."""
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else _FOLDING * len(value)
