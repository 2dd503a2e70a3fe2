"""The one error type that crosses the wire: a request was refused, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The gRPC status codes that refusals use, by their names there."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request that has a value it cannot have."""

    field: str
    description: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is answered with no.

    Each kind is a subclass with its `code` and `reason`, the latter a name of
    `cloudacademy.errors.v1.Reason`. `detail` is for people, `metadata` for
    programs; neither may hold a secret.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        detail: str,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after_seconds: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds
        self.metadata = metadata


class InvalidField(Refusal):
    """A field of the request has a value it cannot have."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(
            f"{field}: {description}",
            violations=(FieldViolation(field, description),),
            field=field,
        )


class InvalidPageToken(Refusal):
    """A page token that was not given out for this very query."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_PAGE_TOKEN"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, violations=(FieldViolation("page_token", detail),))


class CallerNotAdmitted(Refusal):
    """The caller's certificate is good, and its name is not among those that may call this."""

    code = Code.PERMISSION_DENIED
    reason = "CALLER_NOT_ADMITTED"

    def __init__(self, caller: str, method: str) -> None:
        super().__init__(f"{caller} may not call {method}.", caller=caller, method=method)


class DatabaseUnavailable(Refusal):
    """The database does not answer."""

    code = Code.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The database does not answer.", retry_after_seconds=1.0)


class Overloaded(Refusal):
    """As many calls run as the process takes at once."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("There are too many calls at the moment.", retry_after_seconds=1.0)


class DeadlineExceeded(Refusal):
    """The request's own deadline passed."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"

    def __init__(self, detail: str = "The deadline passed before the answer was ready.") -> None:
        super().__init__(detail)


class Internal(Refusal):
    """A fault of ours; what it was is in the log under the request id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Internal error; request id {request_id}.", request_id=request_id)
