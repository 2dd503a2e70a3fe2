"""The reasons for which usersvc refuses a request, with their gRPC codes and texts.

Administrators read the texts, so they say what was wrong and what to do.
"""

from dataclasses import replace
from typing import Final
from uuid import UUID

from chassis.errors import Code, RefusalKind

# --- users and groups -------------------------------------------------------------------

USER_NOT_FOUND: Final = RefusalKind[UUID](
    "USER_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no user with the id {user_id}.",
    parameters=("user_id",),
    metadata=("user_id",),
)
USER_NAME_TAKEN: Final = RefusalKind[str](
    "USER_NAME_TAKEN",
    Code.ALREADY_EXISTS,
    "Another user has the user name {user_name!r}. User names are compared without regard to case.",
    parameters=("user_name",),
    metadata=("user_name",),
)
GROUP_NOT_FOUND: Final = RefusalKind[UUID](
    "GROUP_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no group with the id {group_id}.",
    parameters=("group_id",),
    metadata=("group_id",),
)
MEMBER_NOT_FOUND: Final = RefusalKind[UUID | str](
    "MEMBER_NOT_FOUND",
    Code.INVALID_ARGUMENT,
    "No user and no group has the id {member_id}, so it cannot become a member.",
    parameters=("member_id",),
    metadata=("member_id",),
    field="members",
)
GROUP_CYCLE: Final = RefusalKind[UUID | str, UUID | str](
    "GROUP_CYCLE",
    Code.INVALID_ARGUMENT,
    "The group {member_id} cannot become a member of the group {group_id}:"
    " the group would become a member of itself.",
    parameters=("group_id", "member_id"),
    metadata=("group_id", "member_id"),
    field="members",
)
REQUEST_ID_REUSED: Final = RefusalKind[UUID](
    "REQUEST_ID_REUSED",
    Code.ALREADY_EXISTS,
    "The request id {request_id} was used for another request. Use a new id for each request.",
    parameters=("request_id",),
    metadata=("request_id",),
)

# --- filters, orders and update masks ---------------------------------------------------

UNKNOWN_FIELD: Final = RefusalKind[str, str, str](
    "UNKNOWN_FIELD",
    Code.INVALID_ARGUMENT,
    "{field!r} is not a field that {where} can name.",
    parameters=("field", "where", "request_field"),
    metadata=("field",),
    field="{request_field}",
)
INVALID_FILTER: Final = RefusalKind[str](
    "INVALID_FILTER",
    Code.INVALID_ARGUMENT,
    "{detail}",
    parameters=("detail",),
    field="filter",
)
FILTER_TOO_COSTLY: Final = RefusalKind[()](
    "FILTER_TOO_COSTLY",
    Code.INVALID_ARGUMENT,
    "The filter reads all resources and took too long. Use a narrower filter.",
    field="filter",
)
COUNT_TOO_COSTLY: Final = RefusalKind[()](
    "COUNT_TOO_COSTLY",
    Code.RESOURCE_EXHAUSTED,
    "The log has too many entries to count in time. Try again later or with a shorter time span.",
    retry_after_seconds=60.0,
)

# --- extension schemas ------------------------------------------------------------------

FIELD_IMMUTABLE: Final = RefusalKind[str](
    "FIELD_IMMUTABLE",
    Code.INVALID_ARGUMENT,
    "{field} is immutable and already has a value.",
    parameters=("field",),
    metadata=("field",),
    field="{field}",
    description="is immutable and already has a value",
)
SCHEMA_NOT_FOUND: Final = RefusalKind[str](
    "SCHEMA_NOT_FOUND",
    Code.NOT_FOUND,
    "There is no schema {urn}.",
    parameters=("urn",),
    metadata=("urn",),
)
SCHEMA_EXISTS: Final = RefusalKind[str](
    "SCHEMA_EXISTS",
    Code.ALREADY_EXISTS,
    "The schema {urn} already exists. URNs are compared without regard to case.",
    parameters=("urn",),
    metadata=("urn",),
)
SCHEMA_IN_USE: Final = RefusalKind[str](
    "SCHEMA_IN_USE",
    Code.FAILED_PRECONDITION,
    "Users have values for the schema {urn}. Remove these values first.",
    parameters=("urn",),
    metadata=("urn",),
)

# --- the provisioning log and the change feed -------------------------------------------

ACTIVITY_NOT_FOUND: Final = RefusalKind[()](
    "ACTIVITY_NOT_FOUND",
    Code.NOT_FOUND,
    "The log has no entry with this id. Entries are kept for 30 days.",
)
INVALID_CHANGE_TOKEN: Final = RefusalKind[()](
    "INVALID_CHANGE_TOKEN",
    Code.INVALID_ARGUMENT,
    "The token does not belong to this feed. Read a snapshot and continue from its token.",
    field="token",
    description="does not belong to this feed",
)
CHANGES_TRIMMED: Final = RefusalKind[()](
    "CHANGES_TRIMMED",
    Code.OUT_OF_RANGE,
    "The changes since this token are no longer kept. Read a snapshot and continue from its token.",
)
SNAPSHOTS_BUSY: Final = RefusalKind[()](
    "SNAPSHOTS_BUSY",
    Code.UNAVAILABLE,
    "Too many snapshots are being read. Try again.",
    retry_after_seconds=5.0,
)

# --- sessions and sign-in ---------------------------------------------------------------

SESSION_ENDED: Final = RefusalKind[()](
    "SESSION_ENDED", Code.UNAUTHENTICATED, "The session has ended. Sign in again."
)
SIGN_IN_LINK_INVALID: Final = RefusalKind[()](
    "SIGN_IN_LINK_INVALID",
    Code.UNAUTHENTICATED,
    "This sign-in link is invalid: it was already used, or it is older than 15 minutes. "
    "Ask for a new link.",
)
USER_INACTIVE: Final = RefusalKind[()](
    "USER_INACTIVE",
    Code.PERMISSION_DENIED,
    "This user may not sign in: the account is not active.",
)
USER_DELETED: Final = RefusalKind[()](
    "USER_INACTIVE",
    Code.PERMISSION_DENIED,
    "This person may not sign in: provisioning removed the account. Provision the person again.",
)
ASSERTION_REPLAYED: Final = RefusalKind[()](
    "ASSERTION_REPLAYED",
    Code.UNAUTHENTICATED,
    "This sign-in was already used. Sign in again.",
)
SIGN_IN_AMBIGUOUS: Final = RefusalKind[()](
    "SIGN_IN_AMBIGUOUS",
    Code.FAILED_PRECONDITION,
    "Several users have this object identifier as their external id. Remove all of them but the "
    "one that should sign in.",
)
SIGN_IN_CONFLICT: Final = RefusalKind[()](
    "SIGN_IN_CONFLICT",
    Code.FAILED_PRECONDITION,
    "The user with this e-mail address or link has a different object identifier, so it may be "
    "another person. Provision the object identifier as the user's external id, or remove the "
    "user.",
)
LINKED_MEANWHILE: Final = replace(SIGN_IN_CONFLICT)
"""Another transaction linked the object identifier to a user during the sign-in: match again."""
SIGN_IN_DOMAIN_UNPROVEN: Final = RefusalKind[()](
    "SIGN_IN_DOMAIN_UNPROVEN",
    Code.PERMISSION_DENIED,
    "The organization has not proven the domain of the person's e-mail address.",
)
SIGN_IN_UNKNOWN: Final = RefusalKind[()](
    "SIGN_IN_UNKNOWN",
    Code.PERMISSION_DENIED,
    "No user has this object identifier or e-mail address. Assign the person to the "
    "application at the identity provider.",
)
