"""The BatchService of the contract: calls that come together."""

import asyncio
from typing import Any, Final, TypeAlias

import grpc
from cloudacademy.batch.v1 import batch_pb2, batch_pb2_grpc

from chassis.inner_calls import Ended, InnerCalls
from usersvc.errors import InvalidField

MAX_CALLS: Final = 100
MAX_SECONDS: Final = 30.0
EXECUTE: Final = "/cloudacademy.batch.v1.BatchService/Execute"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class BatchServicer(batch_pb2_grpc.BatchServiceServicer):
    """Carries calls to the other services of this process."""

    def __init__(self, calls: InnerCalls) -> None:
        self._calls = calls

    async def Execute(  # noqa: N802 - the contract's name
        self, request: batch_pb2.ExecuteRequest, context: Context
    ) -> batch_pb2.ExecuteResponse:
        """Carry out the calls side by side."""
        if len(request.calls) > MAX_CALLS:
            raise InvalidField("calls", f"are more than {MAX_CALLS}")
        ended = await asyncio.gather(*(self._run(call, context) for call in request.calls))
        return batch_pb2.ExecuteResponse(outcomes=map(_outcome, ended))

    async def _run(self, call: batch_pb2.Call, context: Context) -> Ended:
        seconds = min(call.timeout_ms / 1_000, MAX_SECONDS)
        return await self._calls.run(call.method, call.request, call.metadata, seconds, context)


def _outcome(ended: Ended) -> batch_pb2.Outcome:
    return batch_pb2.Outcome(
        response=ended.response,
        code=ended.code,
        message=ended.message,
        status_details=ended.details,
    )
