"""The servicer of KeyService."""
# ruff: noqa: N802 - names of the contract

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.clock import Clock
from chassis.database.notifications import NotificationFeed
from chassis.errors import Refusal
from chassis.rpc.uuids import read_uuid
from chassis.rpc.watch import watch
from keysvc.background.key_uses import KeyUses
from keysvc.domain import key_token
from keysvc.domain.audit import check_author
from keysvc.domain.errors import KEY_OF_OTHER_REGION
from keysvc.domain.keys import Key, NewKey, authenticate
from keysvc.domain.organizations import Region
from keysvc.domain.pages import AFTER_ALL, Position
from keysvc.rpc import convert, page_tokens
from keysvc.store.keys import KeyStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    """The API keys of organizations."""

    def __init__(
        self,
        store: KeyStore,
        uses: KeyUses,
        changes: NotificationFeed,
        *,
        region: Region,
        clock: Clock,
        random_bytes: key_token.RandomBytes,
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
        actor = convert.read_actor(request.actor, request.created_by)
        token = key_token.generate(self._region, self._random_bytes)
        author = request.created_by or actor.actor_id
        new = NewKey(token.key_id, token.secret_digest, author, actor, request.newest_key_id)
        key = await self._store.generate(organization_id, new, self._clock)
        return keys_pb2.GenerateKeyResponse(key=convert.key_message(key), token=token.text)

    async def ListKeys(
        self, request: keys_pb2.ListKeysRequest, context: Context
    ) -> keys_pb2.ListKeysResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        size = convert.read_page_size(request.page_size)
        start = page_tokens.from_token(organization_id, request.page_token, AFTER_ALL)
        keys = await self._store.list_before(organization_id, start, size + 1)
        page, next_page_token = convert.cut_page(organization_id, keys, size, _position)
        return keys_pb2.ListKeysResponse(
            keys=[convert.key_message(key) for key in page], next_page_token=next_page_token
        )

    async def RevokeKey(
        self, request: keys_pb2.RevokeKeyRequest, context: Context
    ) -> keys_pb2.RevokeKeyResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        key_id = read_uuid("key_id", request.key_id)
        check_author("revoked_by", request.revoked_by)
        actor = convert.read_actor(request.actor, request.revoked_by)
        author = request.revoked_by or actor.actor_id
        key = await self._store.revoke(organization_id, key_id, author, actor, self._clock)
        return keys_pb2.RevokeKeyResponse(key=convert.key_message(key))

    async def Authenticate(
        self, request: keys_pb2.AuthenticateRequest, context: Context
    ) -> keys_pb2.AuthenticateResponse:
        address = convert.read_address("client_address", request.client_address)
        token = key_token.parse(request.token)
        if token.region is not self._region:
            raise Refusal(KEY_OF_OTHER_REGION, token.region, token.region.site)
        stored_key = await self._store.find(token.key_id)
        now = self._clock()
        key = authenticate(stored_key, token.secret_digest, now)
        self._uses.add(key, now, address)
        return keys_pb2.AuthenticateResponse(
            organization_id=str(key.organization_id),
            key_id=str(key.key_id),
            expire_time=convert.timestamp(key.expire_time),
        )

    async def WatchKeys(
        self, request: keys_pb2.WatchKeysRequest, context: Context
    ) -> AsyncIterator[keys_pb2.WatchKeysResponse]:
        message = keys_pb2.WatchKeysResponse
        stream = watch(
            self._changes,
            reset=message(reset=message.Reset()),
            heartbeat=message(heartbeat=message.Heartbeat()),
            notification=_change,
        )
        async with aclosing(stream) as messages:
            async for each in messages:
                yield each


def _change(organization_id: str) -> keys_pb2.WatchKeysResponse:
    message = keys_pb2.WatchKeysResponse
    change = message.OrganizationChange(organization_id=organization_id)
    return message(organization_change=change)


def _position(key: Key) -> Position:
    return Position(key.create_time, key.key_id)
