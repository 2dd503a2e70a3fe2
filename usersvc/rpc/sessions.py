"""The servicer of SessionService."""

from typing import Any, TypeAlias

import grpc
from cloudacademy.users.v1 import sessions_pb2, sessions_pb2_grpc

from chassis.clock import Clock
from chassis.errors import Refusal
from chassis.rpc.uuids import read_uuid
from usersvc.domain import session_token, sessions
from usersvc.domain.errors import SESSION_ENDED, SIGN_IN_LINK_INVALID
from usersvc.domain.session_token import RandomBytes
from usersvc.rpc.convert.session import from_session, to_assertion
from usersvc.rpc.convert.user import from_time, to_origin
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
            token=link.text, expire_time=from_time(expire_time)
        )

    async def SignInWithLink(  # noqa: N802
        self, request: sessions_pb2.SignInWithLinkRequest, context: Context
    ) -> sessions_pb2.SignInWithLinkResponse:
        """Start a session with a sign-in link's token."""
        link = session_token.parse(request.token)
        if link is None:
            raise Refusal(SIGN_IN_LINK_INVALID)
        token = session_token.generate(link.organization_id, self._random_bytes)
        session = await self._store.sign_in_with_link(link, token, self._clock())
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
