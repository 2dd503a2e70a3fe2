"""Conversion between messages and sessions or assertions."""

from datetime import UTC, datetime

from cloudacademy.users.v1 import sessions_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain.sessions import Assertion, Identity, Session
from usersvc.rpc.convert.user import from_time


def to_assertion(request: sessions_pb2.SignInWithAssertionRequest) -> Assertion:
    """The identity provider's assertion in a request. Refuses InvalidField."""
    if not request.HasField("assertion_expire_time"):
        raise InvalidField("assertion_expire_time", "is required")
    return Assertion(
        read_uuid("organization_id", request.organization_id),
        request.assertion_id,
        _to_time("assertion_expire_time", request.assertion_expire_time),
        Identity(request.object_identifier, request.email, request.given_name, request.family_name),
    )


def _to_time(field: str, time: Timestamp) -> datetime:
    try:
        return time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, "is not a time between the years 1 and 9999") from None


def from_session(session: Session) -> sessions_pb2.Session:
    """A session as a message."""
    return sessions_pb2.Session(
        organization_id=str(session.organization_id),
        user_id=str(session.user_id),
        user_name=session.user_name,
        display_name=session.display_name,
        administrator=session.administrator,
        create_time=from_time(session.create_time),
        expire_time=from_time(session.expire_time),
    )
