"""The RPCs of a sign-in. Refusals of the services are raised as `SignInError`."""

from typing import Any, Final, TypeVar

import grpc
from cloudacademy.keys.v1 import audit_pb2_grpc, sso_pb2, sso_pb2_grpc
from cloudacademy.keys.v1.audit_pb2 import AuditEvent, RecordAuditEventRequest
from cloudacademy.keys.v1.domains_pb2 import Domain
from cloudacademy.users.v1 import sessions_pb2, sessions_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.backend.actors import actor
from gateway.backend.client import Origin, call
from gateway.backend.errors import RefusedError
from gateway.backend.organization_names import OrganizationNames
from gateway.sso.assertion import Assertion
from gateway.sso.pending import ReplacedSession, Trial
from gateway.sso.provider import IdentityProvider
from gateway.sso.refusals import SIGN_IN_REASONS, SignInError

Response = TypeVar("Response")
_TRUSTED: Final = (Domain.STATE_PROVEN, Domain.STATE_GRACE)
NO_SESSION: Final = sessions_pb2.Session()


class ServiceClient:
    """Calls keysvc for the connections of organizations, and usersvc for sessions."""

    def __init__(
        self, users: grpc.aio.Channel, keys: grpc.aio.Channel, names: OrganizationNames
    ) -> None:
        self._names = names
        self._sessions = sessions_pb2_grpc.SessionServiceStub(users)
        self._sso = sso_pb2_grpc.SsoServiceStub(keys)
        self._audit = audit_pb2_grpc.AuditServiceStub(keys)

    async def find_by_email(self, email: str, request_id: str) -> IdentityProvider:
        """The identity provider for an e-mail domain. Raises SignInError (no_connection)."""
        return await self._find(sso_pb2.FindSsoConnectionRequest(email=email), request_id)

    async def find(self, organization_id: str, request_id: str) -> IdentityProvider:
        """The identity provider of an organization. Raises SignInError (no_connection)."""
        request = sso_pb2.FindSsoConnectionRequest(organization_id=organization_id)
        return await self._find(request, request_id)

    async def organization_name(self, organization_id: str, request_id: str) -> str:
        """The name of an organization, or an empty string."""
        return await self._names.find(organization_id, request_id)

    async def session(self, token: str, request_id: str) -> sessions_pb2.Session:
        """The session of a token, or an empty session. Raises SignInError (away)."""
        if not token:
            return NO_SESSION
        request = sessions_pb2.GetSessionRequest(session_token=token)
        try:
            response = await call(self._sessions.GetSession, request, Origin(request_id))
        except RefusedError as error:
            if error.reason == "SESSION_ENDED":
                return NO_SESSION
            raise SignInError("away") from error
        return response.session

    async def sign_in(
        self,
        idp: IdentityProvider,
        assertion: Assertion,
        replaced: ReplacedSession | None,
        request_id: str,
    ) -> sessions_pb2.SignInWithAssertionResponse:
        """Create a session for the person in the assertion, and end the replaced one.

        Raises SignInError.
        """
        end = Timestamp()
        end.FromDatetime(assertion.expire_time)
        return await self._call(
            self._sessions.SignInWithAssertion,
            sessions_pb2.SignInWithAssertionRequest(
                organization_id=idp.organization_id,
                assertion_id=assertion.id,
                assertion_expire_time=end,
                object_identifier=assertion.object_identifier,
                email=assertion.email,
                given_name=assertion.given_name,
                family_name=assertion.family_name,
                create_missing=idp.create_missing,
                email_unproven=not idp.may_assert(assertion.email),
                replaced_session=sessions_pb2.ReplacedSession(
                    organization_id=replaced.organization_id, session_id=replaced.session_id
                )
                if replaced
                else None,
            ),
            request_id,
        )

    async def end_session(self, token: str, request_id: str) -> None:
        """End a session. Raises SignInError (away)."""
        request = sessions_pb2.EndSessionRequest(session_token=token)
        await self._call(self._sessions.EndSession, request, request_id)

    async def record_sign_in(
        self, session: sessions_pb2.Session, address: str, request_id: str
    ) -> None:
        """Record an administrator's sign-in in the audit trail. Raises SignInError (away)."""
        await self._call(
            self._audit.RecordAuditEvent,
            RecordAuditEventRequest(
                organization_id=session.organization_id,
                actor=actor(session.user_id, session.user_name, address),
                action=AuditEvent.ACTION_SIGNED_IN,
            ),
            request_id,
        )

    async def record_test(
        self, organization_id: str, trial: Trial, address: str, request_id: str
    ) -> None:
        """Record a successful test. Raises SignInError (changed_since)."""
        await self._call(
            self._sso.RecordSsoTest,
            sso_pb2.RecordSsoTestRequest(
                organization_id=organization_id,
                etag=trial.etag,
                actor=actor(trial.user_id, trial.user_name, address),
            ),
            request_id,
        )

    async def _find(
        self, request: sso_pb2.FindSsoConnectionRequest, request_id: str
    ) -> IdentityProvider:
        try:
            response = await self._call(self._sso.FindSsoConnection, request, request_id)
        except SignInError as error:
            raise SignInError(
                "no_connection" if error.reason == "bad_claim" else error.reason
            ) from error
        connection = response.connection
        return IdentityProvider(
            organization_id=connection.organization_id,
            etag=connection.etag,
            active=connection.active,
            sso_url=connection.sso_url,
            entity_id=connection.idp_entity_id,
            certificates=tuple(connection.certificates),
            create_missing=connection.create_missing_users,
            organization_name=response.organization_display_name,
            trusted_domains=frozenset(
                each.name for each in connection.domain_proofs if each.state in _TRUSTED
            ),
        )

    async def _call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Any, Response]",
        request: object,
        request_id: str,
    ) -> Response:
        try:
            return await call(method, request, Origin(request_id))
        except RefusedError as error:
            raise SignInError(SIGN_IN_REASONS.get(error.reason, "away")) from error
