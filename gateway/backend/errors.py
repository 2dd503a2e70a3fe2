"""What a service refused, in the words of HTTP and SCIM (RFC 7644 section 3.12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc

from chassis.rpc.status import RemoteRefusal, from_rpc_error
from gateway.limits.rejections import RETRY_AFTER_SECONDS
from gateway.scim.errors import ScimError


@dataclass(frozen=True, slots=True)
class HttpError:
    """How one reason is answered: the status, the scimType, and a text of our own.

    Without a text the service's own goes out; `{…}` in it is filled from the
    refusal's metadata.
    """

    status: int
    scim_type: str | None = None
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


_KEY_PAGE: Final = "Settings & Integrations → Integrations → Microsoft Entra ID in Cloud Academy"
_INVALID_TOKEN: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
_RETRY: Final = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_AWAY: Final = HttpError(
    503,
    detail="Cloud Academy cannot answer at the moment. Try again; if this was a change, read the "
    "resource first, since it may have been made.",
    headers=_RETRY,
)  # fmt: skip
_LATE: Final = HttpError(
    503,
    detail="Cloud Academy did not answer in time. Read the resource before repeating a change.",
    headers=_RETRY,
)

ANSWERS: Final[Mapping[str, HttpError]] = {
    "INVALID_FIELD": HttpError(400, "invalidValue"),
    "UNKNOWN_FIELD": HttpError(
        400,
        "invalidFilter",
        "The filter or sortBy names an attribute that cannot be used there.",
    ),
    # SCIM's clients only ever send page tokens inside cursors.
    "INVALID_PAGE_TOKEN": HttpError(
        400, "invalidCursor", "The cursor leads nowhere anymore. Begin anew with an empty cursor."
    ),
    "INVALID_FILTER": HttpError(400, "invalidFilter"),
    # RFC 7644 section 3.5.1: another value for an immutable attribute that has one.
    "FIELD_IMMUTABLE": HttpError(
        400, "mutability", "{field} is immutable: it has a value and keeps it."
    ),
    "FILTER_TOO_COSTLY": HttpError(
        400,
        "tooMany",
        "The filter or sortBy has to look at everything and did not end in time. Ask for less: "
        "with eq on id, userName, externalId, displayName, emails.value or employeeNumber, or with "
        "fewer conditions.",
    ),
    "COUNT_TOO_COSTLY": _AWAY,
    "USER_NOT_FOUND": HttpError(404, detail="No user has the id {user_id} in this organization."),
    "USER_NAME_TAKEN": HttpError(
        409,
        "uniqueness",
        "Another user of the organization has the userName {user_name} already; userName is "
        "compared without regard to case. Match that user, or give this one another userName.",
    ),
    "ETAG_MISMATCH": HttpError(
        412, detail="The resource has changed since the version in If-Match. Read it again."
    ),
    "GROUP_NOT_FOUND": HttpError(
        404, detail="No group has the id {group_id} in this organization."
    ),
    "MEMBER_NOT_FOUND": HttpError(
        400,
        "invalidValue",
        "No user and no group of this organization has the id {member_id}, so it cannot become a "
        "member. Provision it first.",
    ),
    "GROUP_CYCLE": HttpError(
        400,
        "invalidValue",
        "The group {member_id} has the group {group_id} among its members, directly or through "
        "others, so it cannot become a member of it.",
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
    # gateway.auth.authenticator, which alone gets this, names the Tenant URL of the key's region.
    "KEY_OF_OTHER_REGION": HttpError(401, headers=_INVALID_TOKEN),
    "INTEGRATION_INACTIVE": HttpError(
        401,
        detail="The Microsoft Entra ID integration of this organization is switched off. "
        f"Activate it under {_KEY_PAGE}.",
        headers=_INVALID_TOKEN,
    ),
    "INTEGRATION_NOT_ACTIVE": HttpError(409),
    "NEWER_KEY_EXISTS": HttpError(409),
    "CALLER_NOT_ADMITTED": HttpError(
        500, detail="Cloud Academy failed to answer: one of its services refused another one."
    ),
    "INVALID_CHANGE_TOKEN": HttpError(400, "invalidValue"),
    "CHANGES_TRIMMED": HttpError(410),
    "SNAPSHOTS_BUSY": _AWAY,
    "ACTIVITY_NOT_FOUND": HttpError(404),
    "SESSION_ENDED": HttpError(401),
    "SIGN_IN_LINK_INVALID": HttpError(401),
    "USER_INACTIVE": HttpError(403),
    "ASSERTION_REPLAYED": HttpError(401),
    "SIGN_IN_AMBIGUOUS": HttpError(409),
    "SIGN_IN_CONFLICT": HttpError(409),
    "SIGN_IN_UNKNOWN": HttpError(403),
    "SSO_NOT_TESTED": HttpError(409),
    "SSO_CONNECTION_NOT_FOUND": HttpError(404),
    "SSO_DOMAIN_TAKEN": HttpError(409),
    "DATABASE_UNAVAILABLE": _AWAY,
    "DEADLINE_EXCEEDED": _LATE,
    "INTERNAL": HttpError(500),
    "OVERLOADED": _AWAY,
}
"""The answer to each `cloudacademy.errors.v1.Reason`; a test walks them all."""

UNUSABLE_KEY_REASONS: Final = frozenset({"KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE"})
"""The refusals of a token whose secret is right, so that its metadata name the organization."""

# The path of a request names the resource: an id that none can have is one that none has.
_ID_FIELDS: Final = frozenset({"user_id", "user.id", "group_id", "group.id"})
_NO_SUCH_ID: Final = HttpError(404, detail="Nothing has this id in this organization.")

_TRANSPORT: Final[Mapping[grpc.StatusCode, HttpError]] = {
    grpc.StatusCode.UNAVAILABLE: _AWAY,
    grpc.StatusCode.DEADLINE_EXCEEDED: _LATE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _AWAY,
    grpc.StatusCode.CANCELLED: _AWAY,
}
_FAULT: Final = HttpError(
    500, detail="Cloud Academy failed to answer. The request id is in the X-Request-Id header."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service refused, ready to be answered: a value that can be kept.

    An exception cannot: once raised, it keeps the frames that it passed, and so the request.
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
        """A new exception, for one request."""
        return RefusedError(self)


class RefusedError(ScimError):
    """A refusal of a service, raised for one request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status, refusal.scim_type, refusal.detail, refusal.headers)
        self.refusal = refusal
        self.reason = refusal.reason
        self.metadata = refusal.metadata


def translate(error: grpc.aio.AioRpcError) -> RefusedError:
    """The answer to a call that failed, to be raised."""
    return refusal_of(error).error()


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """The answer to a call that failed."""
    remote = from_rpc_error(error)
    answer = _answer_to(remote)
    return Refusal(
        answer.status,
        answer.scim_type,
        _detail(answer, remote),
        answer.headers,
        remote.reason,
        remote.metadata,
    )


def _answer_to(refusal: RemoteRefusal) -> HttpError:
    if refusal.reason == "INVALID_FIELD" and refusal.metadata.get("field") in _ID_FIELDS:
        return _NO_SUCH_ID
    return ANSWERS.get(refusal.reason) or _TRANSPORT.get(refusal.code) or _FAULT


def _detail(answer: HttpError, refusal: RemoteRefusal) -> str:
    if not answer.detail:
        return refusal.detail
    return answer.detail.format_map(_Metadata(refusal.metadata))


class _Metadata(dict[str, str]):
    """Metadata whose missing entries read as nothing rather than fail."""

    def __missing__(self, key: str) -> str:
        return ""
