"""Callers that call continuously; any error fails the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from tests.support.chassis.echoes import ECHO, until


@dataclass
class Caller:
    """Concurrent callers on one channel, and the number of responses that they received."""

    channel: grpc.aio.Channel
    responses: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def call_until_ended(self) -> None:
        echo = self.channel.unary_unary(ECHO)
        while not self.ended.is_set():
            assert await echo(b"hello", timeout=5) == b"hello"
            self.responses += 1

    async def wait_for_responses(self, number: int = 20) -> None:
        target = self.responses + number
        await until(lambda: self.responses >= target)


@asynccontextmanager
async def continuous_calls(channel: grpc.aio.Channel) -> AsyncIterator[Caller]:
    """Call until the end of the block from four tasks; a failed call fails the test."""
    caller = Caller(channel)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(caller.call_until_ended())
        await caller.wait_for_responses()
        yield caller
        await caller.wait_for_responses()
        caller.ended.set()
