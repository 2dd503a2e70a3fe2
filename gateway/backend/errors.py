"""Maps gRPC errors of the backend services to HTTP and SCIM errors (RFC 7644 section 3.12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc

from chassis.rpc.status import RpcStatus, from_rpc_error
from gateway.limits.rejections import RETRY_AFTER_SECONDS
from gateway.scim.errors import ScimError


@dataclass(frozen=True, slots=True)
class HttpError:
    """The HTTP status, scimType, `detail` and headers for one reason.

    `{name}` in `detail` is replaced by that entry of ErrorInfo.metadata. Without a `detail` the
    service's own message is sent.
    """

    status: int
    scim_type: str | None = None
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


_KEY_PAGE: Final = "Settings & Integrations → Integrations in Cloud Academy"
_INVALID_TOKEN: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
_RETRY: Final = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_UNAVAILABLE: Final = HttpError(
    503,
    detail="Cloud Academy is temporarily unavailable. Try again. If the request was a change, read "
    "the resource first, because the change may have been carried out.",
    headers=_RETRY,
)  # fmt: skip
_TIMED_OUT: Final = HttpError(
    503,
    detail="Cloud Academy did not answer in time. Try again. If the request was a change, read the "
    "resource first, because the change may have been carried out.",
    headers=_RETRY,
)

HTTP_ERRORS: Final[Mapping[str, HttpError]] = {
    "INVALID_FIELD": HttpError(400, "invalidValue"),
    "UNKNOWN_FIELD": HttpError(
        400,
        "invalidFilter",
        "{field} cannot be used in a filter or in sortBy. Use another attribute.",
    ),
    # SCIM clients send page tokens only inside cursors.
    "INVALID_PAGE_TOKEN": HttpError(
        400,
        "invalidCursor",
        "The cursor is no longer valid. Start again from the first page, with an empty cursor.",
    ),
    "INVALID_FILTER": HttpError(400, "invalidFilter"),
    # RFC 7644 section 3.5.1: another value for an immutable attribute that has one.
    "FIELD_IMMUTABLE": HttpError(
        400,
        "mutability",
        "{field} is immutable: its value cannot be changed. Leave it out of the request.",
    ),
    "FILTER_TOO_COSTLY": HttpError(
        400,
        "tooMany",
        "The filter or sortBy needs to read every resource and did not finish in time. Filter with "
        "eq on id, userName, externalId, displayName, emails.value or employeeNumber, or use fewer "
        "conditions.",
    ),
    "COUNT_TOO_COSTLY": _UNAVAILABLE,
    "USER_NOT_FOUND": HttpError(404, detail="This organization has no user with the id {user_id}."),
    "USER_NAME_TAKEN": HttpError(
        409,
        "uniqueness",
        "Another user of this organization already has the userName {user_name}. Upper and lower "
        "case make no difference. Match that user, or give this one another userName.",
    ),
    "ETAG_MISMATCH": HttpError(
        412,
        detail="The resource has changed since the version in If-Match. Read it again, then repeat "
        "the change with its new version.",
    ),
    "GROUP_NOT_FOUND": HttpError(
        404, detail="This organization has no group with the id {group_id}."
    ),
    "MEMBER_NOT_FOUND": HttpError(
        400,
        "invalidValue",
        "This organization has no user or group with the id {member_id}, so it cannot become a "
        "member. Provision it first.",
    ),
    "GROUP_CYCLE": HttpError(
        400,
        "invalidValue",
        "The group {member_id} already contains the group {group_id}, directly or through other "
        "groups, so it cannot become its member. Remove one of the two from the other first.",
    ),
    "SCHEMA_NOT_FOUND": HttpError(404),
    "SCHEMA_EXISTS": HttpError(409, "uniqueness"),
    "SCHEMA_IN_USE": HttpError(409),
    "REQUEST_ID_REUSED": HttpError(409),
    "ORGANIZATION_NOT_FOUND": HttpError(404),
    "ORGANIZATION_EXISTS": HttpError(409, "uniqueness"),
    "KEY_NOT_FOUND": HttpError(404),
    "KEY_MALFORMED": HttpError(401, headers=_INVALID_TOKEN),
    "KEY_UNKNOWN": HttpError(401, headers=_INVALID_TOKEN),
    "KEY_EXPIRED": HttpError(401, headers=_INVALID_TOKEN),
    "KEY_REVOKED": HttpError(401, headers=_INVALID_TOKEN),
    # Only gateway.auth.authenticator gets this; it adds the Tenant URL of the key's region.
    "KEY_OF_OTHER_REGION": HttpError(401, headers=_INVALID_TOKEN),
    "INTEGRATION_INACTIVE": HttpError(
        401,
        detail="The provisioning integration of this organization is switched off. "
        f"Activate it under {_KEY_PAGE}.",
        headers=_INVALID_TOKEN,
    ),
    "INTEGRATION_NOT_ACTIVE": HttpError(409),
    "NEWER_KEY_EXISTS": HttpError(409),
    "CALLER_NOT_ADMITTED": HttpError(
        500,
        detail="Cloud Academy could not process the request because one of its services denied "
        "access to another. Contact Cloud Academy support with the X-Request-Id header.",
    ),
    "INVALID_CHANGE_TOKEN": HttpError(400, "invalidValue"),
    "CHANGES_TRIMMED": HttpError(410),
    "SNAPSHOTS_BUSY": _UNAVAILABLE,
    "ACTIVITY_NOT_FOUND": HttpError(404),
    "SESSION_ENDED": HttpError(401),
    "SIGN_IN_LINK_INVALID": HttpError(401),
    "USER_INACTIVE": HttpError(403),
    "ASSERTION_REPLAYED": HttpError(401),
    "SIGN_IN_AMBIGUOUS": HttpError(409),
    "SIGN_IN_CONFLICT": HttpError(409),
    "SIGN_IN_UNKNOWN": HttpError(403),
    "SIGN_IN_DOMAIN_UNPROVEN": HttpError(403),
    "SSO_NOT_TESTED": HttpError(409),
    "SSO_CONNECTION_NOT_FOUND": HttpError(404),
    "SSO_DOMAIN_TAKEN": HttpError(409),
    "DATABASE_UNAVAILABLE": _UNAVAILABLE,
    "DEADLINE_EXCEEDED": _TIMED_OUT,
    "INTERNAL": HttpError(500),
    "OVERLOADED": _UNAVAILABLE,
}
"""The error for each `cloudacademy.errors.v1.Reason`; a test checks that each has a row."""

UNUSABLE_KEY_REASONS: Final = frozenset({"KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE"})
"""The reasons to refuse a key whose secret is correct; their metadata names the organization."""

_OWN_MEMBER: Final = HttpError(
    400,
    "invalidValue",
    "A group cannot be its own member: leave the id {member_id} out of the members of this group.",
)

# These ids come from the path of the request: a malformed id is that of no resource (404).
_ID_FIELDS: Final = frozenset({"user_id", "user.id", "group_id", "group.id"})
_NO_SUCH_ID: Final = HttpError(404, detail="This organization has no resource with this id.")

_TRANSPORT: Final[Mapping[grpc.StatusCode, HttpError]] = {
    grpc.StatusCode.UNAVAILABLE: _UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: _TIMED_OUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _UNAVAILABLE,
    grpc.StatusCode.CANCELLED: _UNAVAILABLE,
}
_INTERNAL: Final = HttpError(
    500,
    detail="Cloud Academy could not process the request because of an internal error. Contact "
    "Cloud Academy support with the request id in the X-Request-Id header.",
)


@dataclass(frozen=True, slots=True)
class BackendRefusal:
    """The error of a service, converted for the client, as a value that can be cached.

    An exception must not be cached: once raised, it references the frames that it passed through,
    and with them the request.
    """

    status: int
    scim_type: str | None
    detail: str
    headers: Mapping[str, str]
    reason: str
    """The service's ErrorInfo.reason."""
    metadata: Mapping[str, str]
    """The service's ErrorInfo.metadata; never sent to clients."""

    def error(self) -> "RefusedError":
        """Create an exception for one request."""
        return RefusedError(self)


class RefusedError(ScimError):
    """The error of a service, raised for one request."""

    def __init__(self, refusal: BackendRefusal) -> None:
        super().__init__(refusal.status, refusal.scim_type, refusal.detail, refusal.headers)
        self.refusal = refusal
        self.reason = refusal.reason
        self.metadata = refusal.metadata


def translate(error: grpc.aio.AioRpcError) -> RefusedError:
    """Convert the error of a failed call to an exception for the client."""
    return refusal_of(error).error()


def refusal_of(error: grpc.aio.AioRpcError) -> BackendRefusal:
    """Convert the error of a failed call to a value that can be cached."""
    remote = from_rpc_error(error)
    http_error = _http_error(remote)
    return BackendRefusal(
        http_error.status,
        http_error.scim_type,
        _detail(http_error, remote),
        http_error.headers,
        remote.reason,
        remote.metadata,
    )


def _http_error(refusal: RpcStatus) -> HttpError:
    if refusal.reason == "INVALID_FIELD" and refusal.metadata.get("field") in _ID_FIELDS:
        return _NO_SUCH_ID
    if refusal.reason == "GROUP_CYCLE" and _is_own_member(refusal.metadata):
        return _OWN_MEMBER
    return HTTP_ERRORS.get(refusal.reason) or _TRANSPORT.get(refusal.code) or _INTERNAL


def _is_own_member(metadata: Mapping[str, str]) -> bool:
    return metadata.get("member_id", "") == metadata.get("group_id")


def _detail(http_error: HttpError, refusal: RpcStatus) -> str:
    if not http_error.detail:
        return refusal.detail
    return http_error.detail.format_map(_Metadata(refusal.metadata))


class _Metadata(dict[str, str]):
    """Metadata whose missing entries are empty strings."""

    def __missing__(self, key: str) -> str:
        return ""
