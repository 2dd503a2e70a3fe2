"""Refusals: the one type of error that services send to their callers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Generic, TypeVarTuple

Values = TypeVarTuple("Values")


class Code(StrEnum):
    """The gRPC status codes of refusals."""

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
    """A field of the request with an invalid value."""

    field: str
    description: str


@dataclass(frozen=True, eq=False)
class RefusalKind(Generic[*Values]):
    """One row of a service's table of refusals.

    `detail`, `field` and `description` are `str.format` templates; `parameters` are the names in
    their braces. The type arguments are the types of the parameters, in the same order, so that
    mypy finds a `raise` with a missing value. A row without a field has no `google.rpc.BadRequest`.
    """

    reason: str
    """A name of `cloudacademy.errors.v1.Reason`. Several kinds may share one."""
    code: Code
    detail: str
    """The text for people, without secrets."""
    parameters: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    """The `parameters` that callers get as `ErrorInfo.metadata`; none is secret."""
    field: str = ""
    description: str = ""
    """The problem with the field. If empty, the detail is used."""
    retry_after_seconds: float | None = None


class Refusal(Exception):  # noqa: N818 - a refusal is a response, not a fault
    """The error response to a request: a row of a table, with values for its templates."""

    def __init__(self, kind: RefusalKind[*Values], *values: *Values) -> None:
        named = dict(zip(kind.parameters, _in_utc(*values), strict=True))
        self.kind: RefusalKind[*tuple[object, ...]] = kind
        self.detail = kind.detail.format_map(named)
        self.violations: tuple[FieldViolation, ...] = ()
        if kind.field:
            description = kind.description.format_map(named) or self.detail
            self.violations = (FieldViolation(kind.field.format_map(named), description),)
        self.metadata = {name: _text(named[name]) for name in kind.metadata}
        super().__init__(self.detail)

    @property
    def code(self) -> Code:
        return self.kind.code

    @property
    def reason(self) -> str:
        return self.kind.reason

    @property
    def retry_after_seconds(self) -> float | None:
        return self.kind.retry_after_seconds


def _in_utc(*values: object) -> Iterator[object]:
    return (each.astimezone(UTC) if isinstance(each, datetime) else each for each in values)


def _text(value: object) -> str:
    """The value as `ErrorInfo.metadata` has it; a time has the format of RFC 3339."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


# --- refusals of every service ----------------------------------------------------------

INVALID_FIELD: Final = RefusalKind[str, str](
    "INVALID_FIELD",
    Code.INVALID_ARGUMENT,
    "{field}: {description}",
    parameters=("field", "description"),
    metadata=("field",),
    field="{field}",
    description="{description}",
)
INVALID_PAGE_TOKEN: Final = RefusalKind[str](
    "INVALID_PAGE_TOKEN",
    Code.INVALID_ARGUMENT,
    "{detail}",
    parameters=("detail",),
    field="page_token",
)
CALLER_NOT_ADMITTED: Final = RefusalKind[str, str](
    "CALLER_NOT_ADMITTED",
    Code.PERMISSION_DENIED,
    "{caller} may not call {method}.",
    parameters=("caller", "method"),
    metadata=("caller", "method"),
)
ETAG_MISMATCH: Final = RefusalKind[str](
    "ETAG_MISMATCH",
    Code.ABORTED,
    "The resource has changed since it was read. Read it again.",
    parameters=("etag",),
    metadata=("etag",),
)
"""The request has an outdated etag. The parameter is the current one."""
DATABASE_UNAVAILABLE: Final = RefusalKind[()](
    "DATABASE_UNAVAILABLE",
    Code.UNAVAILABLE,
    "The database does not answer.",
    retry_after_seconds=1.0,
)
WRITES_STALLED: Final = RefusalKind[()](
    "DATABASE_UNAVAILABLE",
    Code.UNAVAILABLE,
    "The database cannot confirm changes at present. Nothing was changed; try again later.",
    retry_after_seconds=2.0,
)
COMMIT_UNCONFIRMED: Final = RefusalKind[()](
    "DATABASE_UNAVAILABLE",
    Code.UNAVAILABLE,
    "The database has not confirmed the change, which may still take effect. Try again later.",
    retry_after_seconds=2.0,
)
OVERLOADED: Final = RefusalKind[()](
    "OVERLOADED",
    Code.RESOURCE_EXHAUSTED,
    "Too many calls are in progress. Try again later.",
    retry_after_seconds=1.0,
)
DEADLINE_EXCEEDED: Final = RefusalKind[()](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "The deadline passed before the response was ready.",
)
DEADLINE_PASSED_BEFORE_CALL: Final = RefusalKind[()](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "The deadline passed before the call arrived. Nothing was done.",
)
MESSAGE_NOT_READ: Final = RefusalKind[float](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "The caller did not read a message for {seconds:g} seconds.",
    parameters=("seconds",),
)
INTERNAL: Final = RefusalKind[str](
    "INTERNAL",
    Code.INTERNAL,
    "Internal error; request id {request_id}.",
    parameters=("request_id",),
    metadata=("request_id",),
)
"""An internal error. The log entry with this request id has the text of the exception."""


class InvalidField(Refusal):
    """A field of the request has an invalid value.

    This refusal has its own class because every check of a request raises it, and tests catch it.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(INVALID_FIELD, field, description)


class DatabaseUnavailable(Refusal):
    """The database is unavailable. Has its own class because callers catch it to retry."""

    def __init__(self, kind: RefusalKind[()] = DATABASE_UNAVAILABLE) -> None:
        super().__init__(kind)


class WritesStalled(DatabaseUnavailable):
    """A write was refused, because commits wait for the synchronous standby."""

    def __init__(self) -> None:
        super().__init__(WRITES_STALLED)


class CommitUnconfirmed(DatabaseUnavailable):
    """The outcome of a write is unknown, because the synchronous standby did not confirm it."""

    def __init__(self) -> None:
        super().__init__(COMMIT_UNCONFIRMED)
