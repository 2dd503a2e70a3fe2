"""The table of this service's refusals, with the texts that people read."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from chassis.errors import Code, RefusalKind

# --- users and groups -------------------------------------------------------------------

USER_NOT_FOUND: Final = RefusalKind[UUID](
    "USER_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no user with the id {user_id}.",
    values=("user_id",),
    metadata=("user_id",),
)
USER_NAME_TAKEN: Final = RefusalKind[str](
    "USER_NAME_TAKEN",
    Code.ALREADY_EXISTS,
    "Another user has the user name {user_name!r}; case makes no difference.",
    values=("user_name",),
    metadata=("user_name",),
)
GROUP_NOT_FOUND: Final = RefusalKind[UUID](
    "GROUP_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no group with the id {group_id}.",
    values=("group_id",),
    metadata=("group_id",),
)
MEMBER_NOT_FOUND: Final = RefusalKind[UUID | str](
    "MEMBER_NOT_FOUND",
    Code.INVALID_ARGUMENT,
    "There is no user and no group with the id {member_id} to become a member.",
    values=("member_id",),
    metadata=("member_id",),
    field="members",
)
GROUP_CYCLE: Final = RefusalKind[UUID | str, UUID | str](
    "GROUP_CYCLE",
    Code.INVALID_ARGUMENT,
    "The group {member_id} cannot become a member of the group {group_id}:"
    " a group would be a member of itself.",
    values=("group_id", "member_id"),
    metadata=("group_id", "member_id"),
    field="members",
)
REQUEST_ID_REUSED: Final = RefusalKind[UUID](
    "REQUEST_ID_REUSED",
    Code.ALREADY_EXISTS,
    "Another request had the request id {request_id}; make a new one for each.",
    values=("request_id",),
    metadata=("request_id",),
)

# --- filters, orders and update masks ---------------------------------------------------

UNKNOWN_FIELD: Final = RefusalKind[str, str, str](
    "UNKNOWN_FIELD",
    Code.INVALID_ARGUMENT,
    "{field!r} is no field that {where} can name.",
    values=("field", "where", "request_field"),
    metadata=("field",),
    field="{request_field}",
)
INVALID_FILTER: Final = RefusalKind[str](
    "INVALID_FILTER",
    Code.INVALID_ARGUMENT,
    "{detail}",
    values=("detail",),
    field="filter",
)
FILTER_TOO_COSTLY: Final = RefusalKind[()](
    "FILTER_TOO_COSTLY",
    Code.INVALID_ARGUMENT,
    "The filter looks at everything and did not end in time; ask for less.",
    field="filter",
)
COUNT_TOO_COSTLY: Final = RefusalKind[()](
    "COUNT_TOO_COSTLY",
    Code.RESOURCE_EXHAUSTED,
    "The log has too many entries to count them in time.",
    retry_after_seconds=60.0,
)

# --- extension schemas ------------------------------------------------------------------

FIELD_IMMUTABLE: Final = RefusalKind[str](
    "FIELD_IMMUTABLE",
    Code.INVALID_ARGUMENT,
    "{field} has a value and keeps it.",
    values=("field",),
    metadata=("field",),
    field="{field}",
    description="has a value and keeps it",
)
SCHEMA_NOT_FOUND: Final = RefusalKind[str](
    "SCHEMA_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no schema {urn}.",
    values=("urn",),
    metadata=("urn",),
)
SCHEMA_EXISTS: Final = RefusalKind[str](
    "SCHEMA_EXISTS",
    Code.ALREADY_EXISTS,
    "There is a schema {urn}; case makes no difference.",
    values=("urn",),
    metadata=("urn",),
)
SCHEMA_IN_USE: Final = RefusalKind[str](
    "SCHEMA_IN_USE",
    Code.FAILED_PRECONDITION,
    "Users have values for the schema {urn}.",
    values=("urn",),
    metadata=("urn",),
)

# --- the provisioning log and the change feed -------------------------------------------

ACTIVITY_NOT_FOUND: Final = RefusalKind[()](
    "ACTIVITY_NOT_FOUND",
    Code.NOT_FOUND,
    "The log has no entry with this id; entries are kept for 30 days.",
)
INVALID_CHANGE_TOKEN: Final = RefusalKind[()](
    "INVALID_CHANGE_TOKEN",
    Code.INVALID_ARGUMENT,
    "The token leads nowhere here; take a snapshot and go on from its token.",
    field="token",
    description="is none of this feed",
)
CHANGES_TRIMMED: Final = RefusalKind[()](
    "CHANGES_TRIMMED",
    Code.OUT_OF_RANGE,
    "The changes since this token are no longer kept; take a snapshot and go on from its token.",
)
SNAPSHOTS_BUSY: Final = RefusalKind[()](
    "SNAPSHOTS_BUSY",
    Code.UNAVAILABLE,
    "Too many snapshots are being read; try again.",
    retry_after_seconds=5.0,
)

# --- sessions and sign-in ---------------------------------------------------------------

SESSION_ENDED: Final = RefusalKind[()](
    "SESSION_ENDED", Code.UNAUTHENTICATED, "The session has ended. Sign in again."
)
SIGN_IN_LINK_INVALID: Final = RefusalKind[()](
    "SIGN_IN_LINK_INVALID",
    Code.UNAUTHENTICATED,
    "This sign-in link does not work: it was used before, or is older than 15 minutes. "
    "Ask for a new one.",
)
USER_INACTIVE: Final = RefusalKind[()](
    "USER_INACTIVE",
    Code.PERMISSION_DENIED,
    "This user may not sign in: the account is not active.",
)
USER_DELETED: Final = RefusalKind[()](
    "USER_INACTIVE",
    Code.PERMISSION_DENIED,
    "This person may not sign in: the account was removed by provisioning. Provision the "
    "person again.",
)
ASSERTION_REPLAYED: Final = RefusalKind[()](
    "ASSERTION_REPLAYED",
    Code.UNAUTHENTICATED,
    "This sign-in was used before. Sign in again.",
)
SIGN_IN_AMBIGUOUS: Final = RefusalKind[()](
    "SIGN_IN_AMBIGUOUS",
    Code.FAILED_PRECONDITION,
    "Several users have this object identifier as external id. Remove all but the one "
    "that shall sign in.",
)
SIGN_IN_CONFLICT: Final = RefusalKind[()](
    "SIGN_IN_CONFLICT",
    Code.FAILED_PRECONDITION,
    "The user with this e-mail address or link has another object identifier than the one "
    "that signs in, and may be somebody else. Provision the object identifier as external "
    "id, or remove the user.",
)
LINKED_MEANWHILE: Final = replace(SIGN_IN_CONFLICT)
"""Another user was linked to the object identifier during the sign-in: match again."""
SIGN_IN_UNKNOWN: Final = RefusalKind[()](
    "SIGN_IN_UNKNOWN",
    Code.PERMISSION_DENIED,
    "No user has this object identifier or e-mail address. Assign the person to the "
    "application at the identity provider.",
)
