"""KeyService over the store and the changes."""
# ruff: noqa: N802 - the contract names the methods

from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.clock import Clock
from chassis.errors import Refusal
from chassis.rpc.uuids import read_uuid
from keysvc.background.changes import Changes
from keysvc.background.key_uses import KeyUses
from keysvc.domain import key_token as token
from keysvc.domain.audit import check_author
from keysvc.domain.errors import KEY_OF_OTHER_REGION
from keysvc.domain.keys import Key, NewKey, admit
from keysvc.domain.organizations import Region
from keysvc.domain.pages import AFTER_ALL, Position
from keysvc.rpc import convert as wire
from keysvc.rpc import page_tokens as pages
from keysvc.store.keys import KeyStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    """The API keys of organizations."""

    def __init__(
        self,
        store: KeyStore,
        uses: KeyUses,
        changes: Changes,
        *,
        region: Region,
        clock: Clock,
        random_bytes: token.RandomBytes,
    ) -> None:
        self._store = store
        self._uses = uses
        self._changes = changes
        self._region = region
        self._clock = clock
        self._random_bytes = random_bytes

    async def GenerateKey(
        self, request: keys_pb2.GenerateKeyRequest, context: Context
    ) -> keys_pb2.GenerateKeyResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        check_author("created_by", request.created_by)
        actor = wire.read_actor(request.actor, request.created_by)
        made = token.generate(self._region, self._random_bytes)
        author = request.created_by or actor.actor_id
        new = NewKey(made.key_id, made.secret_digest, author, actor, request.newest_key_id)
        key = await self._store.generate(organization_id, new, self._clock)
        return keys_pb2.GenerateKeyResponse(key=wire.key_message(key), token=made.text)

    async def ListKeys(
        self, request: keys_pb2.ListKeysRequest, context: Context
    ) -> keys_pb2.ListKeysResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        size = wire.read_page_size(request.page_size)
        start = pages.from_token(organization_id, request.page_token, AFTER_ALL)
        found = await self._store.list_before(organization_id, start, size + 1)
        page, next_page_token = wire.cut_page(organization_id, found, size, _position)
        return keys_pb2.ListKeysResponse(
            keys=[wire.key_message(key) for key in page], next_page_token=next_page_token
        )

    async def RevokeKey(
        self, request: keys_pb2.RevokeKeyRequest, context: Context
    ) -> keys_pb2.RevokeKeyResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        key_id = read_uuid("key_id", request.key_id)
        check_author("revoked_by", request.revoked_by)
        actor = wire.read_actor(request.actor, request.revoked_by)
        author = request.revoked_by or actor.actor_id
        key = await self._store.revoke(organization_id, key_id, author, actor, self._clock)
        return keys_pb2.RevokeKeyResponse(key=wire.key_message(key))

    async def Authenticate(
        self, request: keys_pb2.AuthenticateRequest, context: Context
    ) -> keys_pb2.AuthenticateResponse:
        address = wire.read_address("client_address", request.client_address)
        shown = token.parse(request.token)
        if shown.region is not self._region:
            raise Refusal(KEY_OF_OTHER_REGION, shown.region, shown.region.site)
        candidate = await self._store.find(shown.key_id)
        now = self._clock()
        key = admit(candidate, shown.secret_digest, now)
        self._uses.note(key, now, address)
        return keys_pb2.AuthenticateResponse(
            organization_id=str(key.organization_id),
            key_id=str(key.key_id),
            expire_time=wire.timestamp(key.expire_time),
        )

    async def WatchKeys(
        self, request: keys_pb2.WatchKeysRequest, context: Context
    ) -> AsyncIterator[keys_pb2.WatchKeysResponse]:
        # Subscribed first: what changes while `reset` is on its way comes after it.
        with self._changes.subscribe() as subscription:
            yield wire.reset_message()
            async for event in subscription.events():
                yield wire.event_message(event)


def _position(key: Key) -> Position:
    return Position(key.create_time, key.key_id)
