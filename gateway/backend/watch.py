"""Follows a stream of changes for as long as the gateway runs."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Final, Protocol, TypeVar

import grpc

MAX_SILENCE_SECONDS: Final = 4.0
"""A stream without an event for this long is opened again: services send heartbeats every 2 seconds
or more often, and its replica may be stuck."""

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

    `report` gets None with the first event of a stream, and the gRPC status, or SILENT, when a
    stream breaks; only if the state changes.
    """
    is_connected = None
    while True:
        stream = open_stream()
        try:
            events = aiter(stream)
            while (event := await _next(events)) is not None:
                apply(event)
                if is_connected is not True:
                    is_connected = True
                    report(None)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            if is_connected is not False:
                is_connected = False
                report(error.code().name if isinstance(error, grpc.aio.AioRpcError) else "SILENT")
        finally:
            stream.cancel()
        await asyncio.sleep(reconnect_seconds)


async def _next(events: AsyncIterator[Event_co]) -> Event_co | None:
    """The next event; None at the end. Raises TimeoutError after MAX_SILENCE_SECONDS."""
    async with asyncio.timeout(MAX_SILENCE_SECONDS):
        return await anext(events, None)
