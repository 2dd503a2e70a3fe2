"""The servicer of SessionService."""

from typing import Any, TypeAlias

import grpc
from cloudacademy.users.v1 import sessions_pb2, sessions_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField, Refusal
from chassis.rpc.timestamps import to_timestamp
from chassis.rpc.uuids import read_uuid
from usersvc.domain import session_token, sessions
from usersvc.domain.errors import SESSION_ENDED, SIGN_IN_LINK_INVALID
from usersvc.domain.session_token import RandomBytes
from usersvc.rpc.convert.listing import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, not_negative
from usersvc.rpc.convert.session import (
    from_session,
    to_assertion,
    to_replaced_session,
    to_session_id,
)
from usersvc.rpc.convert.user import to_origin
from usersvc.store.sessions import SessionStore

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SessionServicer(sessions_pb2_grpc.SessionServiceServicer):
    """Creates and parses tokens. The store keeps only their digests."""

    def __init__(self, store: SessionStore, clock: Clock, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes

    async def CreateSignInLink(  # noqa: N802 - the name in the proto file
        self, request: sessions_pb2.CreateSignInLinkRequest, context: Context
    ) -> sessions_pb2.CreateSignInLinkResponse:
        """Create a sign-in link's token."""
        organization_id = read_uuid("organization_id", request.organization_id)
        user_id = read_uuid("user_id", request.user_id)
        link = session_token.generate(organization_id, self._random_bytes)
        expire_time = await self._store.create_link(link, user_id, self._clock())
        return sessions_pb2.CreateSignInLinkResponse(
            token=link.text, expire_time=to_timestamp(expire_time)
        )

    async def GetSignInLink(  # noqa: N802
        self, request: sessions_pb2.GetSignInLinkRequest, context: Context
    ) -> sessions_pb2.GetSignInLinkResponse:
        """Return the user that a sign-in link signs in."""
        link = session_token.parse(request.token)
        user = None if link is None else await self._store.find_by_link(link, self._clock())
        if user is None:
            raise Refusal(SIGN_IN_LINK_INVALID)
        return sessions_pb2.GetSignInLinkResponse(
            organization_id=str(user.organization_id),
            user_id=str(user.user_id),
            user_name=user.profile.user_name,
        )

    async def SignInWithLink(  # noqa: N802
        self, request: sessions_pb2.SignInWithLinkRequest, context: Context
    ) -> sessions_pb2.SignInWithLinkResponse:
        """Start a session with a sign-in link's token."""
        link = session_token.parse(request.token)
        if link is None:
            raise Refusal(SIGN_IN_LINK_INVALID)
        token = session_token.generate(link.organization_id, self._random_bytes)
        session = await self._store.sign_in_with_link(
            link, token, self._clock(), to_replaced_session(request)
        )
        return sessions_pb2.SignInWithLinkResponse(
            session=from_session(session), session_token=token.text
        )

    async def SignInWithAssertion(  # noqa: N802
        self, request: sessions_pb2.SignInWithAssertionRequest, context: Context
    ) -> sessions_pb2.SignInWithAssertionResponse:
        """Start a session for the person in an identity provider's assertion."""
        now = self._clock()
        assertion = to_assertion(request)
        sessions.check(assertion, now)
        token = session_token.generate(assertion.organization_id, self._random_bytes)
        signed_in = await self._store.sign_in_with_assertion(
            assertion,
            token,
            now,
            to_origin(context),
            create_missing=request.create_missing,
            replaced=to_replaced_session(request),
        )
        return sessions_pb2.SignInWithAssertionResponse(
            session=from_session(signed_in.session),
            session_token=token.text,
            created=signed_in.created,
        )

    async def GetSession(  # noqa: N802
        self, request: sessions_pb2.GetSessionRequest, context: Context
    ) -> sessions_pb2.GetSessionResponse:
        """Return a session and extend it."""
        token = session_token.parse(request.session_token)
        if token is None:
            raise Refusal(SESSION_ENDED)
        session = await self._store.use(token, self._clock())
        return sessions_pb2.GetSessionResponse(session=from_session(session))

    async def EndSession(  # noqa: N802
        self, request: sessions_pb2.EndSessionRequest, context: Context
    ) -> sessions_pb2.EndSessionResponse:
        """End a session."""
        token = session_token.parse(request.session_token)
        if token is not None:
            await self._store.end(token)
        return sessions_pb2.EndSessionResponse()

    async def ListSessions(  # noqa: N802
        self, request: sessions_pb2.ListSessionsRequest, context: Context
    ) -> sessions_pb2.ListSessionsResponse:
        """List the current sessions of an organization or of a user."""
        organization_id = read_uuid("organization_id", request.organization_id)
        user_id = read_uuid("user_id", request.user_id) if request.user_id else None
        size = not_negative("page_size", request.page_size) or DEFAULT_PAGE_SIZE
        size = min(size, MAX_PAGE_SIZE)
        found = await self._store.list_current(organization_id, user_id, self._clock(), size + 1)
        return sessions_pb2.ListSessionsResponse(
            sessions=[from_session(session) for session in found[:size]],
            truncated=len(found) > size,
        )

    async def EndSessions(  # noqa: N802
        self, request: sessions_pb2.EndSessionsRequest, context: Context
    ) -> sessions_pb2.EndSessionsResponse:
        """End one session, all of a user, or all of an organization."""
        organization_id = read_uuid("organization_id", request.organization_id)
        match request.WhichOneof("of"):
            case "session_id":
                session_id = to_session_id(request.session_id)
                ended = await self._store.end_one(organization_id, session_id, self._clock())
            case "user_id":
                user_id = read_uuid("user_id", request.user_id)
                ended = await self._store.end_all(organization_id, user_id)
            case "all" if request.all:
                ended = await self._store.end_all(organization_id, None)
            case _:
                raise InvalidField("of", "must be set")
        return sessions_pb2.EndSessionsResponse(sessions=[from_session(each) for each in ended])
