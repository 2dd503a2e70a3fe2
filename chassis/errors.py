"""The one error type that crosses the wire: a request was refused, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Generic, TypeVarTuple

Values = TypeVarTuple("Values")


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


@dataclass(frozen=True, eq=False)
class RefusalKind(Generic[*Values]):
    """One row of a service's table of refusals.

    The type arguments are the types of the values that a refusal of this kind
    is raised with, in the order of `values`: mypy refuses a `raise` that lacks
    one. `detail`, `field` and `description` are templates of `str.format` over
    these names. A row without a field has no `google.rpc.BadRequest`.
    """

    reason: str
    """A name of `cloudacademy.errors.v1.Reason`. Several kinds may share one."""
    code: Code
    detail: str
    """The text for people; never a secret."""
    values: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    """Those of `values` that callers get as `ErrorInfo.metadata`; never a secret."""
    field: str = ""
    description: str = ""
    """What is wrong with the field; the detail if empty."""
    retry_after_seconds: float | None = None


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is answered with no: a row of a table, and the values for its templates."""

    def __init__(self, kind: RefusalKind[*Values], *values: *Values) -> None:
        named = dict(zip(kind.values, _in_utc(*values), strict=True))
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
    """A value for programs; a time is written as RFC 3339 has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


# --- refusals of every service ----------------------------------------------------------

INVALID_FIELD: Final = RefusalKind[str, str](
    "INVALID_FIELD",
    Code.INVALID_ARGUMENT,
    "{field}: {description}",
    values=("field", "description"),
    metadata=("field",),
    field="{field}",
    description="{description}",
)
INVALID_PAGE_TOKEN: Final = RefusalKind[str](
    "INVALID_PAGE_TOKEN",
    Code.INVALID_ARGUMENT,
    "{detail}",
    values=("detail",),
    field="page_token",
)
CALLER_NOT_ADMITTED: Final = RefusalKind[str, str](
    "CALLER_NOT_ADMITTED",
    Code.PERMISSION_DENIED,
    "{caller} may not call {method}.",
    values=("caller", "method"),
    metadata=("caller", "method"),
)
ETAG_MISMATCH: Final = RefusalKind[str](
    "ETAG_MISMATCH",
    Code.ABORTED,
    "It has changed since it was read; read it again.",
    values=("etag",),
    metadata=("etag",),
)
"""The resource has another etag than the request names. The value is the current one."""
DATABASE_UNAVAILABLE: Final = RefusalKind[()](
    "DATABASE_UNAVAILABLE",
    Code.UNAVAILABLE,
    "The database does not answer.",
    retry_after_seconds=1.0,
)
OVERLOADED: Final = RefusalKind[()](
    "OVERLOADED",
    Code.RESOURCE_EXHAUSTED,
    "There are too many calls at the moment.",
    retry_after_seconds=1.0,
)
DEADLINE_EXCEEDED: Final = RefusalKind[()](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "The deadline passed before the answer was ready.",
)
DEADLINE_PASSED_BEFORE_CALL: Final = RefusalKind[()](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "The deadline passed before the call came; nothing was done.",
)
MESSAGE_NOT_READ: Final = RefusalKind[float](
    "DEADLINE_EXCEEDED",
    Code.DEADLINE_EXCEEDED,
    "A message was not read for {seconds:g} seconds.",
    values=("seconds",),
)
INTERNAL: Final = RefusalKind[str](
    "INTERNAL",
    Code.INTERNAL,
    "Internal error; request id {request_id}.",
    values=("request_id",),
    metadata=("request_id",),
)
"""A fault of ours; what it was is in the log under the request id."""


class InvalidField(Refusal):
    """A field of the request has a value it cannot have.

    It has a class because every check of a request raises it, and tests tell it from others.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(INVALID_FIELD, field, description)


class DatabaseUnavailable(Refusal):
    """The database does not answer. It has a class because callers catch it to try again."""

    def __init__(self) -> None:
        super().__init__(DATABASE_UNAVAILABLE)
