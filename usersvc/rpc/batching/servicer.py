"""The servicer of BatchService."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from cloudacademy.batch.v1 import batch_pb2, batch_pb2_grpc

from usersvc.rpc.batching.stream import BatchStream, Context, Dispatcher

BATCH_METHODS: Final = frozenset({"/cloudacademy.batch.v1.BatchService/StreamCalls"})


class BatchServicer(batch_pb2_grpc.BatchServiceServicer):
    """Carries out calls of the other services of this process. Announces when `stop` is set."""

    def __init__(self, dispatcher: Dispatcher, stop: asyncio.Event) -> None:
        self._dispatcher = dispatcher
        self._stop = stop

    async def StreamCalls(  # noqa: N802 - the name in the proto file
        self, requests: AsyncIterator[batch_pb2.StreamCallsRequest], context: Context
    ) -> AsyncIterator[batch_pb2.StreamCallsResponse]:
        """Carry out calls as they arrive."""
        stream = BatchStream(self._dispatcher, context)
        async with aclosing(stream.responses(requests, self._stop)) as responses:
            async for response in responses:
                yield response
