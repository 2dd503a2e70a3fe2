"""Short forms of the calls of the SessionService, and of the refusals that tests expect."""

import itertools
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import grpc
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import sessions_pb2 as pb
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub
from cloudacademy.users.v1.users_pb2 import TypedValue

from chassis.rpc.timestamps import to_timestamp
from tests.support.usersvc.user_calls import ACME, refused

OID_ANN: Final = "5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11"
OID_OTHER: Final = "0b1e5f3c-6f2f-4a52-8a51-9e3a0c5d7f10"
ADMINISTRATOR: Final = [TypedValue(value="Administrator")]
_numbers = itertools.count()


async def create_link(stub: SessionServiceStub, user_id: str, organization_id: str = ACME) -> str:
    request = pb.CreateSignInLinkRequest(organization_id=organization_id, user_id=user_id)
    return (await stub.CreateSignInLink(request)).token


async def follow_link(stub: SessionServiceStub, token: str) -> pb.SignInWithLinkResponse:
    return await stub.SignInWithLink(pb.SignInWithLinkRequest(token=token))


async def sign_in_with_link(
    stub: SessionServiceStub, user_id: str, organization_id: str = ACME
) -> str:
    """Sign in with a new link and return the session token."""
    return (
        await follow_link(stub, await create_link(stub, user_id, organization_id))
    ).session_token


async def get_session(stub: SessionServiceStub, token: str) -> pb.Session:
    return (await stub.GetSession(pb.GetSessionRequest(session_token=token))).session


async def end_session(stub: SessionServiceStub, token: str) -> None:
    await stub.EndSession(pb.EndSessionRequest(session_token=token))


async def sign_in_with_assertion(
    stub: SessionServiceStub,
    now: datetime,
    object_identifier: str = "oid-ann",
    email: str = "ann@acme.test",
    **fields: object,
) -> pb.SignInWithAssertionResponse:
    """Sign in with an assertion, whose id is new unless given in `fields`."""
    request = {
        "organization_id": ACME,
        "assertion_id": f"assertion-{next(_numbers)}",
        "assertion_expire_time": to_timestamp(now + timedelta(minutes=5)),
        "object_identifier": object_identifier,
        "email": email,
    } | fields
    return await stub.SignInWithAssertion(pb.SignInWithAssertionRequest(**request))


async def identity_links(db: asyncpg.Connection) -> list[tuple[str, str, str]]:
    """The organization id, object identifier and user id of each identity link."""
    rows = await db.fetch(
        """
        SELECT organization_id::text, object_identifier, user_id::text
          FROM linked_identities
         ORDER BY organization_id, object_identifier
        """
    )
    return [tuple(row) for row in rows]


def session_ended():
    return refused(Reason.REASON_SESSION_ENDED, grpc.StatusCode.UNAUTHENTICATED)


def link_invalid():
    return refused(Reason.REASON_SIGN_IN_LINK_INVALID, grpc.StatusCode.UNAUTHENTICATED)


def user_inactive():
    return refused(Reason.REASON_USER_INACTIVE, grpc.StatusCode.PERMISSION_DENIED)


def assertion_replayed():
    return refused(Reason.REASON_ASSERTION_REPLAYED, grpc.StatusCode.UNAUTHENTICATED)


def sign_in_ambiguous():
    return refused(Reason.REASON_SIGN_IN_AMBIGUOUS, grpc.StatusCode.FAILED_PRECONDITION)


def sign_in_conflict():
    return refused(Reason.REASON_SIGN_IN_CONFLICT, grpc.StatusCode.FAILED_PRECONDITION)


def sign_in_unknown():
    return refused(Reason.REASON_SIGN_IN_UNKNOWN, grpc.StatusCode.PERMISSION_DENIED)


async def count_lock_waiters(db: asyncpg.Connection) -> int:
    return await db.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'usersvc' AND wait_event_type = 'Lock'
        """
    )
