"""Conversion between messages and sessions or assertions."""

from cloudacademy.users.v1 import sessions_pb2

from chassis.errors import InvalidField
from chassis.rpc.timestamps import read_time, to_timestamp
from chassis.rpc.uuids import read_uuid
from usersvc.domain.sessions import Assertion, Identity, ReplacedSession, Session, SessionId


def to_assertion(request: sessions_pb2.SignInWithAssertionRequest) -> Assertion:
    """The identity provider's assertion in a request. Refuses InvalidField."""
    if not request.HasField("assertion_expire_time"):
        raise InvalidField("assertion_expire_time", "is required")
    return Assertion(
        read_uuid("organization_id", request.organization_id),
        request.assertion_id,
        read_time("assertion_expire_time", request.assertion_expire_time),
        Identity(
            request.object_identifier,
            request.email,
            request.given_name,
            request.family_name,
            email_is_proven=not request.email_unproven,
        ),
    )


def from_session(session: Session) -> sessions_pb2.Session:
    """A session as a message."""
    return sessions_pb2.Session(
        organization_id=str(session.organization_id),
        user_id=str(session.user_id),
        user_name=session.user_name,
        display_name=session.display_name,
        administrator=session.administrator,
        create_time=to_timestamp(session.create_time),
        expire_time=to_timestamp(session.expire_time),
        session_id=str(session.session_id),
    )


def to_session_id(text: str) -> SessionId:
    """The id of a session. Refuses InvalidField."""
    session_id = SessionId.parse(text)
    if session_id is None:
        raise InvalidField("session_id", "is not the id of a session")
    return session_id


def to_replaced_session(
    request: sessions_pb2.SignInWithLinkRequest | sessions_pb2.SignInWithAssertionRequest,
) -> ReplacedSession | None:
    """The session that a sign-in replaces, if any. Refuses InvalidField."""
    if not request.HasField("replaced_session"):
        return None
    replaced = request.replaced_session
    organization_id = read_uuid("replaced_session.organization_id", replaced.organization_id)
    return ReplacedSession(organization_id, to_session_id(replaced.session_id))
