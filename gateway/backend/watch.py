"""Follows a stream of changes for as long as the gateway runs."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Protocol, TypeVar

import grpc

Event_co = TypeVar("Event_co", covariant=True)


class Stream(AsyncIterable[Event_co], Protocol[Event_co]):
    """The responses of a streaming call."""

    def cancel(self) -> bool:
        """End the call."""


async def watch(
    open_stream: Callable[[], Stream[Event_co]],
    apply: Callable[[Event_co], None],
    report: Callable[[str | None], None],
    reconnect_seconds: float,
) -> None:
    """Apply the events of a stream, and open it again when it ends. Runs until it is cancelled.

    `report` gets None with the first event of a stream, and the gRPC status when a stream breaks;
    only if the state changes.
    """
    is_connected = None
    while True:
        stream = open_stream()
        try:
            async for event in stream:
                apply(event)
                if is_connected is not True:
                    is_connected = True
                    report(None)
        except grpc.aio.AioRpcError as error:
            if is_connected is not False:
                is_connected = False
                report(error.code().name)
        finally:
            stream.cancel()
        await asyncio.sleep(reconnect_seconds)
