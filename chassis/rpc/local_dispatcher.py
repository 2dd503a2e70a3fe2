"""Calls of a server's own methods that came inside another call."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from chassis.rpc.interceptor import Envelope
from chassis.rpc.status import DETAILS_KEY

Handler = Any  # grpc's method handlers are untyped


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a call: a response, or a status code with its words and details."""

    response: bytes = b""
    code: int = 0
    message: str = ""
    details: bytes = b""


class _AbortedError(Exception):
    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


class _InnerContext:
    """What a servicer sees of a call that came inside another: the caller is the same."""

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
        told = dict(trailing_metadata).get(DETAILS_KEY, b"")
        raise _AbortedError(Ended(code=code.value[0], message=details, details=told))


class InnerCalls:
    """The methods of services, to be called from within.

    Services are added to it as to a server; each call goes through the same envelope as one that
    comes by itself.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._handlers: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """What generated code calls first; the next one names the methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Take the methods of a service that have one request and one response."""
        for name, handler in handlers.items():
            if handler.unary_unary:
                method = f"/{service}/{name}"
                self._handlers[method] = self._envelope.wrapped(method, handler)

    async def run(
        self,
        method: str,
        request: bytes,
        metadata: Mapping[str, str],
        outer: Any,  # noqa: ANN401
    ) -> Ended:
        """Carry out a call; whatever becomes of it, it is told and not raised.

        Its deadline is the caller's to keep: a call that is cancelled ends as any other.
        """
        handler = self._handlers.get(method)
        if handler is None:
            return _ended(grpc.StatusCode.UNIMPLEMENTED, "There is no such method here.")
        context = _InnerContext(outer, metadata)
        try:
            message = handler.request_deserializer(request)
            response = await handler.unary_unary(message, context)
            return Ended(handler.response_serializer(response))
        except DecodeError:
            return _ended(grpc.StatusCode.INVALID_ARGUMENT, "The request cannot be read.")
        except _AbortedError as aborted:
            return aborted.ended
        except Exception as fault:
            logging.getLogger(__name__).error("fault", exc_info=fault)
            return _ended(grpc.StatusCode.INTERNAL, "internal error")


def _ended(code: grpc.StatusCode, message: str) -> Ended:
    return Ended(code=code.value[0], message=message)


LATE: Final = _ended(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed.")
"""What became of a call that was cancelled at its deadline."""
CANCELLED: Final = _ended(grpc.StatusCode.CANCELLED, "The call was cancelled.")
