"""Whom a request speaks for: the bearer token, and nothing else, says it (RFC 6750)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import grpc
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from chassis.clock import Clock
from chassis.concurrency.single_flight import SingleFlight
from chassis.rpc.channel import DEADLINE_SECONDS
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache
from gateway.backend.errors import Refusal, refusal_of
from gateway.scim.errors import ScimError

_HOW: Final = (
    "Set the Secret Token in Entra to an API key from Settings & Integrations → Integrations → "
    "Microsoft Entra ID in Cloud Academy."
)
_OTHER_REGION: Final = (
    "This API key belongs to another region. Set the Tenant URL in Entra to {tenant_url}, or use a "
    "key of this region as Secret Token."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a verified key speaks for."""

    organization_id: str
    key_id: str


class UnauthorizedError(ScimError):
    """A request without a usable token."""

    def __init__(self, detail: str, challenge: str = "Bearer") -> None:
        # RFC 6750 section 3: no error code when no token came at all.
        super().__init__(401, None, f"{detail} {_HOW}", {"WWW-Authenticate": challenge})


class Authenticator:
    """Asks keysvc whom a token speaks for, once, and remembers the answer in a KeyCache."""

    def __init__(
        self,
        stub: "keys_pb2_grpc.KeyServiceAsyncStub",
        cache: KeyCache[Caller],
        guesses: FailedAuthLimiter,
        tenant_urls: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._stub = stub
        self._cache = cache
        self._guesses = guesses
        self._tenant_urls = tenant_urls
        self._clock = clock
        self._asking: SingleFlight[tuple[bytes, int], Caller] = SingleFlight()

    def known(self, authorization: str) -> Caller | None:
        """The caller that a header speaks for, if that can be told at once."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            return None
        return self._cache.peek(_digest(token), self._clock())

    async def authenticate(
        self, authorization: str | None, client_address: str, request_id: str
    ) -> Caller:
        """The caller that an Authorization header speaks for.

        Refuses (401) a missing header, another scheme and every key that keysvc
        refuses; (503) when keysvc is away, or too many keys wait to be asked about;
        (429) a key that is none when many of these came from its address.
        """
        token = bearer_token(authorization)
        digest = _digest(token)
        now = self._clock()
        caller = self._cache.get(digest, now)
        if caller is not None:
            return caller
        refusal = self._guesses.remembered(digest, now)
        if refusal is not None:
            raise refusal.error()
        # Unless a change came in since it was asked, requests with one key share one question.
        question = (digest, self._cache.mark())
        return await self._asking.run(
            question, lambda: self._ask(token, question, client_address, request_id)
        )

    async def _ask(
        self,
        token: str,
        question: tuple[bytes, int],
        client_address: str,
        request_id: str,
    ) -> Caller:
        digest, mark = question
        asked = await self._guesses.begin(digest, client_address)
        try:
            response = await self._stub.Authenticate(
                pb.AuthenticateRequest(token=token, client_address=client_address),
                timeout=DEADLINE_SECONDS,
                metadata=(("x-request-id", request_id),),
            )
        except grpc.aio.AioRpcError as error:
            refusal = self._naming_tenant_url(refusal_of(error))
            raise self._guesses.refused(asked, refusal) from error
        except BaseException:
            self._guesses.end_lookup(asked)
            raise
        self._guesses.verified(asked)
        caller = Caller(response.organization_id, response.key_id)
        self._cache.put(digest, caller, caller.organization_id, _end(response), mark)
        return caller

    def _naming_tenant_url(self, refusal: Refusal) -> Refusal:
        """The refusal; that of another region's key tells the Tenant URL of that region."""
        if refusal.reason != "KEY_OF_OTHER_REGION":
            return refusal
        url = self._tenant_urls.get(refusal.metadata.get("region", ""), "that of its region")
        return replace(refusal, detail=_OTHER_REGION.format(tenant_url=url))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header.

    People paste the token with `Bearer ` before it, which Entra then sends
    twice: all of them are taken off.
    """
    if not authorization:
        raise UnauthorizedError("The request has no Authorization header.")
    *schemes, token = authorization.split() or [""]
    if not schemes or any(scheme.lower() != "bearer" for scheme in schemes):
        raise UnauthorizedError("The Authorization header is not of the form: Bearer <API key>.")
    if not token.isascii():
        raise UnauthorizedError(
            "The Authorization header holds what no API key does.", 'Bearer error="invalid_token"'
        )
    return token


def _end(response: pb.AuthenticateResponse) -> datetime | None:
    if not response.HasField("expire_time"):
        return None
    return response.expire_time.ToDatetime(tzinfo=UTC)
