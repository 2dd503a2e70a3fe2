"""Calls of this process's own services, without a gRPC stream for each call."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from chassis.rpc.interceptor import ServerInterceptor
from chassis.rpc.status import DETAILS_KEY

Handler = Any  # grpc's method handlers are untyped


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call: a serialized response, or a status code with message and details."""

    response: bytes = b""
    code: int = 0
    message: str = ""
    details: bytes = b""


class _AbortedError(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


class _LocalContext:
    """The servicer context of a local call. Its caller is the caller of the outer call."""

    def __init__(self, outer: Any, metadata: Mapping[str, str]) -> None:  # noqa: ANN401
        self._outer = outer
        self._metadata = tuple(metadata.items())

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def auth_context(self) -> Any:  # noqa: ANN401
        return self._outer.auth_context()

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Any = (),  # noqa: ANN401
    ) -> NoReturn:
        status = dict(trailing_metadata).get(DETAILS_KEY, b"")
        raise _AbortedError(Result(code=code.value[0], message=details, details=status))


class LocalDispatcher:
    """Calls methods of this process's services.

    A local call passes through the same interceptor as a call from the network. It has its own
    authorization, deadline, log line and metrics.
    """

    def __init__(self, interceptor: ServerInterceptor) -> None:
        self._interceptor = interceptor
        self._handlers: dict[str, Handler] = {}

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Add the unary methods of a service."""
        for method in service.methods:
            if method.client_streaming or method.server_streaming:
                continue
            path = f"/{service.full_name}/{method.name}"
            handler = grpc.unary_unary_rpc_method_handler(
                getattr(servicer, method.name),
                GetMessageClass(method.input_type).FromString,
                GetMessageClass(method.output_type).SerializeToString,
            )
            self._handlers[path] = self._interceptor.wrap(path, handler)

    async def call(
        self,
        method: str,
        request: bytes,
        metadata: Mapping[str, str],
        outer: Any,  # noqa: ANN401
    ) -> Result:
        """Call a method. Errors are returned and not raised.

        `outer` is the context of the call that carried this one. The caller enforces the time
        limit by cancelling this coroutine.
        """
        handler = self._handlers.get(method)
        if handler is None:
            return _failure(grpc.StatusCode.UNIMPLEMENTED, "This server has no such method.")
        context = _LocalContext(outer, metadata)
        try:
            message = handler.request_deserializer(request)
            response = await handler.unary_unary(message, context)
            return Result(handler.response_serializer(response))
        except DecodeError:
            return _failure(grpc.StatusCode.INVALID_ARGUMENT, "The request is not a valid message.")
        except _AbortedError as aborted:
            return aborted.result
        except Exception as error:
            logging.getLogger(__name__).error("internal error", exc_info=error)
            return _failure(grpc.StatusCode.INTERNAL, "internal error")


def _failure(code: grpc.StatusCode, message: str) -> Result:
    return Result(code=code.value[0], message=message)


DEADLINE_EXCEEDED: Final = _failure(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed.")
"""The result of a call that was cancelled at its deadline."""
CANCELLED: Final = _failure(grpc.StatusCode.CANCELLED, "The call was cancelled.")
