"""A gRPC channel whose small calls share a few long-lived streams.

Two thirds of the cost of a small call is the stream that gRPC opens for it. A call on a stream
that is already open is one message, and concurrent calls share a message. Each call keeps its own
deadline, status and response.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import grpc
from grpc.aio import AioRpcError

from chassis.batching.limits import STREAM_ITEM_BYTES, STREAM_LINGER_SECONDS, STREAM_MIN_CONCURRENCY
from gateway.backend.batching.stream import BatchStream, NotSentError, rpc_error

if TYPE_CHECKING:
    from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceAsyncStub

LIFETIME_SECONDS: Final = 5.0
"""How long a stream accepts calls before another one, perhaps to another replica, replaces it.

The lifetime plus the deadline of the last calls must be shorter than the maximum age at which the
server closes the connection (`chassis.rpc.server`).
"""
MAX_SILENCE_SECONDS: Final = 1.0
"""A stream with pending calls is replaced when the server has sent nothing for this long."""
CALLS_PER_STREAM: Final = 32
"""With this many pending calls on a stream, the next calls use another, to another replica."""
MAX_STREAMS: Final = 4
"""The most streams that accept calls at the same time."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Response = TypeVar("Response")
Call: TypeAlias = Callable[..., Awaitable[Response]]

# grpc's multicallables are untyped where they are passed on.
Method = Any


class BatchChannel(grpc.aio.Channel):
    """Sends unary calls on streams of the batch service (`stub`), everything else on `channel`.

    `repeatable` is the set of method paths that are safe to repeat: when the batch stream of such
    a call is lost, the call is repeated once without batching. A call of any other method may
    have been executed and fails with UNAVAILABLE. A call is a coroutine: its result can be
    awaited, but it lacks the other methods of gRPC's calls (`code`, `initial_metadata`).

    `channel` is closed by its owner; closing this object does not close it.
    """

    def __init__(
        self,
        stub: "BatchServiceAsyncStub",
        channel: grpc.aio.Channel,
        repeatable: Set[str] = frozenset(),
        *,
        linger_seconds: float = STREAM_LINGER_SECONDS,
    ) -> None:
        self._stub = stub
        self._channel = channel
        self._repeatable = repeatable
        self._linger_seconds = linger_seconds
        self._streams: list[BatchStream] = []

    async def __aenter__(self) -> "BatchChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Accept no more calls on the streams; each ends after its pending calls."""
        for stream in self._streams:
            stream.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The connectivity state of the underlying channel."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the connectivity state differs from `last_observed_state`."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._channel.channel_ready()

    def unary_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with one request and a stream of responses."""
        return self._channel.unary_stream(*arguments, **named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with a stream of requests and one response."""
        return self._channel.stream_unary(*arguments, **named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with a stream of requests and a stream of responses."""
        return self._channel.stream_stream(*arguments, **named)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,  # noqa: ANN401 - grpc's signature
        response_deserializer: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Method:
        """A method with one request and one response."""
        unbatched = self._channel.unary_unary(
            method, request_serializer, response_deserializer, **options
        )
        is_repeatable = method in self._repeatable

        async def call(
            request: object,
            *,
            timeout: float,  # noqa: ASYNC109 - the signature of stubs
            metadata: Sequence[tuple[str, str]] = (),
        ) -> Any:  # noqa: ANN401
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout
            content = request_serializer(request)
            if len(content) <= STREAM_ITEM_BYTES:
                stream = self._stream(loop.time())
                lingers = self._pending() >= STREAM_MIN_CONCURRENCY
                try:
                    outcome = await stream.call(method, content, metadata, timeout, lingers=lingers)
                    if not outcome.code:
                        return response_deserializer(outcome.response)
                    code = _CODES[outcome.code]
                    raise rpc_error(code, outcome.message, outcome.status_details)
                except NotSentError:
                    pass
                except AioRpcError as error:
                    if not (is_repeatable and error.code() is grpc.StatusCode.UNAVAILABLE):
                        raise
            remaining = max(0.001, deadline - loop.time())
            return await unbatched(request, timeout=remaining, metadata=metadata)

        return call

    def _stream(self, now: float) -> BatchStream:
        """The stream for the next call.

        A few calls share one stream, for large batches; many use several streams, and so several
        replicas. A call joins a batch that lingers, whatever the number of its stream's calls.
        """
        for stream in self._streams:
            if now > stream.end_time or _is_unresponsive(stream, now):
                stream.close()
        self._streams = [stream for stream in self._streams if not stream.is_closed]
        for stream in self._streams:
            if stream.has_open_batch:
                return stream
        for stream in self._streams:
            if stream.pending < CALLS_PER_STREAM:
                return stream
        if len(self._streams) < MAX_STREAMS:
            # Gateways that start together must not all change replicas at the same time.
            lifetime = LIFETIME_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            stream = BatchStream(self._stub, now, now + lifetime, self._linger_seconds)
            self._streams.append(stream)
            return stream
        return min(self._streams, key=lambda stream: stream.pending)

    def _pending(self) -> int:
        return sum(stream.pending for stream in self._streams)


def _is_unresponsive(stream: BatchStream, now: float) -> bool:
    return stream.pending > 0 and now - stream.last_received_time > MAX_SILENCE_SECONDS
