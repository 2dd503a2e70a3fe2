"""Calls to a service that share their way: a stream instead of a round trip each.

Two thirds of what a small call costs is what gRPC does for each call by itself.
On a stream that is there already it is a message, and calls that come at the same
moment share even that. Each keeps its own deadline, refusal and outcome; its
caller sees no difference.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import grpc
from grpc.aio import AioRpcError

from gateway.backend.batching.stream import FEW_CALLS, Conversation, NeverSentError, refusal

if TYPE_CHECKING:
    from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceAsyncStub

LIFETIME_SECONDS: Final = 5.0
"""How long a stream is used before another, perhaps to another replica, takes its place.

With the deadline of its last calls it has to end before the server, who ends each
connection at some age, loses patience (`chassis.rpc.server`).
"""
SMALL_BYTES: Final = 64 * 1024
"""What is larger goes alone: others would wait behind it, and a message has a limit."""
SILENCE_SECONDS: Final = 1.0
"""How long a server may owe outcomes without a word before others are asked."""
CROWD: Final = 32
"""How many calls are under way on a stream before another, to the next replica, is used, too."""
STREAMS: Final = 4
"""How many streams are used at the same moment."""
APART_SECONDS: Final = 60.0
"""How long calls go alone once a server has not known how to take them together."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Response = TypeVar("Response")
Call: TypeAlias = Callable[..., Awaitable[Response]]


class Coalescer:
    """What stubs take for a channel, whose calls share streams of the batch service.

    `repeatable` names the methods, by their paths, whose calls are made once more, alone, when
    their stream is lost; others may have been carried out, and fail.
    """

    def __init__(
        self,
        stub: "BatchServiceAsyncStub",
        channel: grpc.aio.Channel,
        repeatable: Set[str] = frozenset(),
    ) -> None:
        self._stub = stub
        self._channel = channel
        self._repeatable = repeatable
        self._streams: list[Conversation] = []
        self._apart_until = 0.0

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Response],
        **options: Any,  # noqa: ANN401 - what generated code gives a channel
    ) -> "Call[Response]":
        """A method with one request and one response."""
        alone = self._channel.unary_unary(
            method, request_serializer, response_deserializer, **options
        )
        repeatable = method in self._repeatable

        async def call(
            request: object,
            *,
            timeout: float,  # noqa: ASYNC109 - as stubs have it
            metadata: Sequence[tuple[str, str]] = (),
        ) -> Response:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout
            content = request_serializer(request)
            stream = self._current(loop.time()) if len(content) <= SMALL_BYTES else None
            if stream is not None:
                try:
                    outcome = await stream.call(
                        method, content, metadata, timeout, waits=self._under_way() >= FEW_CALLS
                    )
                    if not outcome.code:
                        return response_deserializer(outcome.response)
                    code = _CODES[outcome.code]
                    raise refusal(code, outcome.message, outcome.status_details)
                except NeverSentError:
                    pass
                except AioRpcError as error:
                    if not self._is_made_alone(error, repeatable=repeatable):
                        raise
            left = max(0.001, deadline - loop.time())
            return await alone(request, timeout=left, metadata=metadata)

        return call

    def _is_made_alone(self, error: AioRpcError, *, repeatable: bool) -> bool:
        """Whether a call is made once more, as the channel would repeat it: perhaps elsewhere."""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # an earlier release: it never began
            self._apart_until = asyncio.get_running_loop().time() + APART_SECONDS
            return True
        return repeatable and error.code() is grpc.StatusCode.UNAVAILABLE

    def _current(self, now: float) -> Conversation | None:
        """The stream for the next call, None while calls go alone.

        Few calls share one stream; many are spread over more, and so over the replicas. Those
        of a moment go together.
        """
        if now < self._apart_until:
            return None
        for stream in self._streams:
            if now > stream.ends or _is_silent(stream, now):
                stream.leave()
        self._streams = [stream for stream in self._streams if not stream.over]
        for stream in self._streams:
            if stream.gathers:
                return stream
        for stream in self._streams:
            if stream.waiting < CROWD:
                return stream
        if len(self._streams) < STREAMS:
            # Gateways that began together shall not change replicas together.
            life = LIFETIME_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            self._streams.append(Conversation(self._stub, now, now + life))
            return self._streams[-1]
        return min(self._streams, key=lambda stream: stream.waiting)

    def _under_way(self) -> int:
        return sum(stream.waiting for stream in self._streams)


def _is_silent(stream: Conversation, now: float) -> bool:
    return stream.waiting > 0 and now - stream.heard > SILENCE_SECONDS
