"""Conversion of refusals to and from `google.rpc.Status` (aip.dev/193)."""

from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chassis.errors import Refusal

DOMAIN: Final = "cloudacademy.com"
DETAILS_KEY: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class RpcStatus:
    """The status of a failed call, as its caller sees it.

    `reason` is empty if the status comes from the transport instead of one of our services: the
    server cannot be reached, or the deadline passed.
    """

    code: grpc.StatusCode
    reason: str
    detail: str
    metadata: dict[str, str]


def to_trailing_metadata(refusal: Refusal) -> tuple[tuple[str, bytes], ...]:
    """The details of a refusal, in the trailer that gRPC libraries read."""
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.code.value), message=refusal.detail)
    status.details.extend(_packed(detail) for detail in _details(refusal))
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.aio.AioRpcError) -> RpcStatus:
    """The status of a call from the error that it raised."""
    info = _error_info(error)
    return RpcStatus(
        code=error.code(),
        reason=info.reason,
        detail=error.details() or "",
        metadata=dict(info.metadata),
    )


def _details(refusal: Refusal) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata)
    ]
    if refusal.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, description=violation.description
                    )
                    for violation in refusal.violations
                ]
            )
        )
    if refusal.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(round(refusal.retry_after_seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            for detail in _parsed(value).details:
                if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                    detail.Unpack(info)
    return info if info.domain == DOMAIN else error_details_pb2.ErrorInfo()


def _parsed(value: bytes) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(value)
    except DecodeError:
        return status_pb2.Status()
