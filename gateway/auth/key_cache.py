"""Verified keys, kept for as long as nobody can have ended them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import grpc
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics

SILENCE_SECONDS: Final = 0.75
"""How long the watch may be silent before nothing kept is used any more.

keysvc sends a heartbeat every 250 ms. A revocation that does not reach us is
so noticed within a second, whatever broke on the way.
"""
KEEP_SECONDS: Final = 30.0  # so that keysvc learns of a key's use about every half minute
MAX_KEYS: Final = 10_000
RECONNECT_SECONDS: Final = 0.2

Value = TypeVar("Value")
Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    organization_id: str
    expire_time: datetime | None
    put: float


class KeyCache(Generic[Value]):
    """Answers of `KeyService.Authenticate` by the digest of the token.

    Fed by `KeyService.WatchKeys`; without a living watch it holds nothing, and
    each request is asked for anew.
    """

    def __init__(self, monotonic: Monotonic = time.monotonic, *, max_keys: int = MAX_KEYS) -> None:
        self._monotonic = monotonic
        self._max_keys = max_keys
        self._entries: OrderedDict[bytes, _Entry[Value]] = OrderedDict()
        self._heard = -SILENCE_SECONDS
        self._changes = 0
        self.hits = 0
        self.misses = 0

    @property
    def connected(self) -> bool:
        """Whether the watch was heard so lately that what is kept may be used."""
        return self._monotonic() - self._heard < SILENCE_SECONDS

    def observe(self, metrics: Metrics) -> None:
        """Register the metrics of the cache."""
        metrics.counts(
            "key_cache_lookups",
            "Lookups in the key cache; a miss calls keysvc.",
            "result",
            lambda: {"hit": self.hits, "miss": self.misses},
        )
        metrics.gauge(
            "key_watch_connected", "1 while the WatchKeys stream is live.", lambda: self.connected
        )

    def get(self, digest: bytes, now: datetime) -> Value | None:
        """What is kept for a token and still holds; a miss will be asked for."""
        value = self.peek(digest, now)
        if value is None:
            self.misses += 1
        else:
            self.hits += 1
        return value

    def peek(self, digest: bytes, now: datetime) -> Value | None:
        """The same, if nobody will be asked."""
        entry = self._entries.get(digest)
        return entry.value if entry is not None and self._is_current(entry, now) else None

    def mark(self) -> int:
        """A mark to take before asking keysvc, to give to `put` with the answer."""
        return self._changes

    def put(
        self,
        digest: bytes,
        value: Value,
        organization_id: str,
        expire_time: datetime | None,
        mark: int,
    ) -> None:
        """Keep an answer, unless something changed while it was on its way."""
        if mark != self._changes:
            return
        self._entries[digest] = _Entry(value, organization_id, expire_time, self._monotonic())
        self._entries.move_to_end(digest)
        if len(self._entries) > self._max_keys:
            self._entries.popitem(last=False)

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Take note of an event of the watch."""
        self._heard = self._monotonic()
        if event.HasField("reset"):
            self._forget(lambda _: True)
        elif event.HasField("organization_change"):
            changed = event.organization_change.organization_id
            self._forget(lambda entry: entry.organization_id == changed)

    def _is_current(self, entry: _Entry[Value], now: datetime) -> bool:
        moment = self._monotonic()
        return (
            moment - self._heard < SILENCE_SECONDS
            and moment - entry.put < KEEP_SECONDS
            and (entry.expire_time is None or now < entry.expire_time)
        )

    def _forget(self, ended: Callable[[_Entry[Value]], bool]) -> None:
        self._changes += 1
        for digest in [digest for digest, entry in self._entries.items() if ended(entry)]:
            del self._entries[digest]


class Listener(Protocol):
    """Whoever has to hear what happens to keys."""

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Take note of an event of the watch."""


async def follow(
    stub: "keys_pb2_grpc.KeyServiceAsyncStub", log: Logger, *listeners: Listener
) -> None:
    """Tell the watch to all for ever, beginning anew whenever it breaks."""
    connected = None
    while True:
        watch = stub.WatchKeys(pb.WatchKeysRequest())
        try:
            async for event in watch:
                for each in listeners:
                    each.apply(event)
                if connected is not True:
                    connected = True
                    log.info("key watch", connected=True)
        except grpc.aio.AioRpcError as error:
            if connected is not False:
                connected = False
                log.warning("key watch", connected=False, status_code=error.code().name)
        finally:
            watch.cancel()
        await asyncio.sleep(RECONNECT_SECONDS)
