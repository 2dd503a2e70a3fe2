"""Authenticates requests, only by their bearer token (RFC 6750)."""

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
from gateway.backend.errors import BackendRefusal, refusal_of
from gateway.scim.errors import ScimError

_HOW_TO_FIX: Final = (
    "Set the Secret Token in Entra, or the bearer token in another identity provider, to an API "
    "key from Settings & Integrations → Integrations in Cloud Academy."
)
_OTHER_REGION: Final = (
    "This API key belongs to another region. Set the Tenant URL in your identity provider to "
    "{tenant_url}, or use a key of this region."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The organization of a verified key, and the id of the key."""

    organization_id: str
    key_id: str


class UnauthorizedError(ScimError):
    """A request without a well-formed token (401)."""

    def __init__(self, detail: str, challenge: str = "Bearer") -> None:
        # RFC 6750 section 3: no error code for a request without a token.
        super().__init__(401, None, f"{detail} {_HOW_TO_FIX}", {"WWW-Authenticate": challenge})


class Authenticator:
    """Verifies tokens with keysvc, and caches the callers in a KeyCache."""

    def __init__(
        self,
        stub: "keys_pb2_grpc.KeyServiceAsyncStub",
        cache: KeyCache[Caller],
        failed_auth: FailedAuthLimiter,
        tenant_urls: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._stub = stub
        self._cache = cache
        self._failed_auth = failed_auth
        self._tenant_urls = tenant_urls
        self._clock = clock
        self._lookups: SingleFlight[tuple[bytes, int], Caller] = SingleFlight()

    async def authenticate(
        self, authorization: str | None, client_address: str, request_id: str
    ) -> Caller:
        """The caller of an Authorization header.

        Refuses (401) a missing header, another scheme and every key that keysvc refuses; (503)
        while keysvc is unavailable, or too many lookups wait; (429) an unknown key from an
        address that sent too many of them.
        """
        token = bearer_token(authorization)
        digest = _digest(token)
        now = self._clock()
        caller = self._cache.get(digest, now)
        if caller is not None:
            return caller
        refusal = self._failed_auth.cached_refusal(digest, now)
        if refusal is not None:
            raise refusal.error()
        # Concurrent requests with the same key share a lookup, unless a key changed since it began.
        lookup_key = (digest, self._cache.generation())
        return await self._lookups.run(
            lookup_key, lambda: self._look_up(token, lookup_key, client_address, request_id)
        )

    async def _look_up(
        self,
        token: str,
        lookup_key: tuple[bytes, int],
        client_address: str,
        request_id: str,
    ) -> Caller:
        digest, generation = lookup_key
        lookup = await self._failed_auth.begin_lookup(digest, client_address)
        try:
            response = await self._stub.Authenticate(
                pb.AuthenticateRequest(token=token, client_address=client_address),
                timeout=DEADLINE_SECONDS,
                metadata=(("x-request-id", request_id),),
            )
        except grpc.aio.AioRpcError as error:
            refusal = self._with_tenant_url(refusal_of(error))
            raise self._failed_auth.record_refusal(lookup, refusal) from error
        except BaseException:
            self._failed_auth.end_lookup(lookup)
            raise
        self._failed_auth.record_verified(lookup)
        caller = Caller(response.organization_id, response.key_id)
        self._cache.put(digest, caller, caller.organization_id, _expire_time(response), generation)
        return caller

    def _with_tenant_url(self, refusal: BackendRefusal) -> BackendRefusal:
        """The refusal; for a key of another region, with the Tenant URL of that region."""
        if refusal.reason != "KEY_OF_OTHER_REGION":
            return refusal
        url = self._tenant_urls.get(refusal.metadata.get("region", ""), "that of its region")
        return replace(refusal, detail=_OTHER_REGION.format(tenant_url=url))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header.

    Some people paste the token with `Bearer ` before it, so Entra sends the scheme twice: repeated
    schemes are ignored. Refuses UnauthorizedError (401) any other form.
    """
    if not authorization:
        raise UnauthorizedError("The request has no Authorization header.")
    *schemes, token = authorization.split() or [""]
    if not schemes or any(scheme.lower() != "bearer" for scheme in schemes):
        raise UnauthorizedError("The Authorization header is not of the form: Bearer <API key>.")
    if not token.isascii():
        raise UnauthorizedError(
            "The Authorization header has characters that no API key contains.",
            'Bearer error="invalid_token"',
        )
    return token


def _expire_time(response: pb.AuthenticateResponse) -> datetime | None:
    if not response.HasField("expire_time"):
        return None
    return response.expire_time.ToDatetime(tzinfo=UTC)
