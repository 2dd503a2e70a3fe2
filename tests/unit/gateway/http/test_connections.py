"""Limits of connections; the cost of admitting one does not grow with the open connections."""

import asyncio
import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest
import structlog
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import given
from hypothesis import strategies as st

from gateway import settings
from gateway.http.connections import Connections
from gateway.http.items_by_owner import ItemsByOwner


class Transport(asyncio.Transport):
    """The transport of a connection from an address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})

    def abort(self) -> None:
        """Do nothing: the test has no socket."""


def lines_to_admit(number: int, addresses: int) -> int:
    """The number of code lines that run to admit a connection while `number` others are open."""
    connections = Connections(structlog.get_logger(), limit=number)
    for index in range(number):
        connections.admit(Transport(f"10.0.{index % addresses}.1"), EMPTY_PAYLOAD)
    lines = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    new_connection = Transport("192.0.2.1")
    before, _ = sys.gettrace(), sys.settrace(count)
    try:
        admitted = connections.admit(new_connection, EMPTY_PAYLOAD)
    finally:
        sys.settrace(before)
    assert admitted is not None
    assert connections.displaced == 1
    return lines


@pytest.mark.parametrize("addresses", [1, 50])
def test_admitting_takes_the_same_work_for_many_connections(addresses: int):
    few, many = lines_to_admit(50, addresses), lines_to_admit(2_000, addresses)

    assert many <= few * 1.2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=60))
def test_oldest_returns_the_oldest_item_of_the_largest_owner(steps: list[tuple[str, int]]):
    items: ItemsByOwner[int] = ItemsByOwner()
    expected: list[tuple[str, int]] = []
    for step in steps:
        if step in expected:
            expected.remove(step)
            items.discard(*step)
        else:
            expected.append(step)
            items.add(*step)
        counts = Counter(name for name, _ in expected)
        oldest = {
            next(item for name, item in expected if name == most)
            for most in counts
            if counts[most] == max(counts.values())
        }
        assert items.oldest() in (oldest or {None})
        for name in "abc":
            assert items.oldest(name) == next(
                (item for each, item in expected if each == name), None
            )


def test_item_moved_to_the_end_is_the_newest_of_its_owner():
    items: ItemsByOwner[int] = ItemsByOwner()
    for item in range(3):
        items.add("a", item)
    items.move_to_end("a", 0)

    assert items.oldest() == 1


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        ({}, 500),
        ({"GATEWAY_MAX_CONNECTIONS": "80"}, 20),
        ({"GATEWAY_MAX_CONNECTIONS": "80", "GATEWAY_ADDRESS_CONNECTIONS": "70"}, 70),
        ({"GATEWAY_PROXIES": "1"}, 2_000),
    ],
)
def test_limit_of_an_address_is_a_quarter_unless_behind_proxies(
    variables: dict[str, str], limit: int
):
    required = {"GATEWAY_REGION": "us", "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex()}

    assert settings.read(required | variables).address_connections == limit
