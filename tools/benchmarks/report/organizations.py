"""The part of the report about many organizations: its tables and its goals."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.benchmarks.organizations import topics
from tools.benchmarks.report.goal import NOT_MEASURED, Goal

Figures = Mapping[str, Any]

# Sizes below these prove nothing.
_FULL_SIZE = {"organizations": 10_000, "large_people": 1_000_000, "changes": 10_000_000}

_RATIOS = (
    (topics.LARGE, "requests/s: the large organization vs a small one, each operation"),
    (topics.EMAIL, "e-mail changes/s: the large organization vs a small one"),
    (topics.MANY, "requests/s: 10,000 organizations in turn vs 1, keys used before"),
    (topics.SNAPSHOT, "requests/s of an organization while another's snapshot is read"),
)
_VALUES = (
    (topics.DELETE, 5.0, "DELETE of a user of 1,000,000", "ms"),
    (topics.PORTAL, 150.0, "portal pages at 3,000,000 log entries", "ms"),
    (topics.PORTAL, 300.0, "searches in the portal at 3,000,000 log entries", "ms"),
    (topics.BULK, 600.0, "operations of bulk requests", "µs"),
    (topics.MEMORY, 10.0, "growth of resident memory while 10,000 keys are in use", "%"),
)


def goals(figures: Figures) -> Iterator[Goal]:
    """The goals, judged by the figures of a measurement at full size."""
    part = figures.get("organizations")
    if part and any(part["sizes"][name] < size for name, size in _FULL_SIZE.items()):
        part = None
    for topic, what in _RATIOS:
        yield _ratio_goal(part, topic, what)
    for topic, most, what, unit in _VALUES:
        yield _value_goal(part, topic, most, what, unit)


def _ratio_goal(part: Figures | None, topic: str, what: str) -> Goal:
    found = [
        each
        for each in (part["comparisons"] if part else ())
        if each["topic"] == topic and each["least"] is not None
    ]
    measured = ", ".join(f"{each['what']} {each['ratio']:.2f}" for each in found)
    return Goal(what, "≥ 0.9", measured or NOT_MEASURED, _all_met(found))


def _value_goal(part: Figures | None, topic: str, most: float, what: str, unit: str) -> Goal:
    found = [
        each
        for each in (part["readings"] if part else ())
        if each["topic"] == topic and each["most"] == most
    ]
    measured = ", ".join(f"{_name(each['what'])} {_number(each['value'])}" for each in found)
    return Goal(what, f"≤ {most:g} {unit}", measured or NOT_MEASURED, _all_met(found))


def _name(what: str) -> str:
    return what.removesuffix(", growth since then").removesuffix(", time of one operation")


def _all_met(found: list[Mapping[str, Any]]) -> bool | None:
    return all(each["met"] for each in found) if found else None


def comparison_rows(part: Figures) -> list[tuple[object, ...]]:
    """The rows of the table of rates."""
    return [
        (
            each["topic"],
            each["what"],
            _side(each["subject"], each["rate"], each["cpu"]),
            _side(each["reference"], each["reference_rate"], each["reference_cpu"]),
            f"{each['ratio']:.2f}",
            _verdict(each, "least", "≥"),
            each["wrong"],
        )
        for each in part["comparisons"]
    ]


def _side(name: str, rate: float, cpu: float) -> str:
    return f"{name}: {rate:,.0f}/s, {cpu:,.0f} µs"


def reading_rows(part: Figures) -> list[tuple[object, ...]]:
    """The rows of the table of other values."""
    return [
        (
            each["topic"],
            each["what"],
            f"{_number(each['value'])} {each['unit']}",
            each["note"],
            _verdict(each, "most", "≤"),
            each["wrong"],
        )
        for each in part["readings"]
    ]


def _verdict(result: Mapping[str, Any], goal: str, sign: str) -> str:
    if result[goal] is None:
        return ""
    return f"{sign} {result[goal]:g}: {'met' if result['met'] else '**not met**'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
