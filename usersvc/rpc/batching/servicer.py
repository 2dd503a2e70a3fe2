"""The BatchService of the contract: calls that share their way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from cloudacademy.batch.v1 import batch_pb2, batch_pb2_grpc

from chassis.rpc.local_dispatcher import InnerCalls
from usersvc.domain.errors import InvalidField
from usersvc.rpc.batching.stream import Context, Conversation, run

MAX_CALLS: Final = 100
CARRIERS: Final = frozenset(
    {
        "/cloudacademy.batch.v1.BatchService/Execute",
        "/cloudacademy.batch.v1.BatchService/Converse",
    }
)


class BatchServicer(batch_pb2_grpc.BatchServiceServicer):
    """Carries calls to the other services of this process, until `stop` tells it to leave."""

    def __init__(self, calls: InnerCalls, stop: asyncio.Event) -> None:
        self._calls = calls
        self._stop = stop

    async def Execute(  # noqa: N802 - the contract's name
        self, request: batch_pb2.ExecuteRequest, context: Context
    ) -> batch_pb2.ExecuteResponse:
        """Carry out the calls side by side."""
        if len(request.calls) > MAX_CALLS:
            raise InvalidField("calls", f"are more than {MAX_CALLS}")
        outcomes = (run(self._calls, call, context) for call in request.calls)
        return batch_pb2.ExecuteResponse(outcomes=await asyncio.gather(*outcomes))

    async def Converse(  # noqa: N802
        self, requests: AsyncIterator[batch_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[batch_pb2.ConverseResponse]:
        """Carry out calls as they come."""
        conversation = Conversation(self._calls, context)
        async with aclosing(conversation.hold(requests, self._stop)) as responses:
            async for response in responses:
                yield response
