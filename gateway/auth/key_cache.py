"""Cache of verified keys; valid only while the stream of key changes is live."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.backend.watch import watch

MAX_SILENCE_SECONDS: Final = 0.75
"""Cached keys are used for this long after the last event of the watch.

keysvc sends a heartbeat every 250 ms. So a revoked key stops working within a second, even if the
connection to keysvc is broken.
"""
TTL_SECONDS: Final = 30.0  # so keysvc sees the use of a key about every half minute
MAX_CONFIRMATIONS: Final = 50.0
"""With more keys than `TTL_SECONDS` times this, entries live longer, so that a gateway confirms at
most this many keys per second."""
MAX_KEYS: Final = 50_000
"""About 400 bytes each."""
RECONNECT_SECONDS: Final = 0.2

Value = TypeVar("Value")
Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    organization_id: str
    expire_time: datetime | None
    stored_at: float


class KeyCache(Generic[Value]):
    """Caches results of `KeyService.Authenticate` by the digest of the token.

    Events of `KeyService.WatchKeys` evict entries. While the watch is not live, every lookup is a
    miss.
    """

    def __init__(
        self,
        monotonic: Monotonic = time.monotonic,
        *,
        max_keys: int = MAX_KEYS,
        max_confirmations: float = MAX_CONFIRMATIONS,
    ) -> None:
        self._monotonic = monotonic
        self._max_keys = max_keys
        self._max_confirmations = max_confirmations
        self._entries: OrderedDict[bytes, _Entry[Value]] = OrderedDict()
        self._of_organization: dict[str, set[bytes]] = {}
        self._last_event = -MAX_SILENCE_SECONDS
        self._generation = 0
        self.hits = 0
        self.misses = 0

    @property
    def connected(self) -> bool:
        """Whether the watch is live, so that cached entries may be used."""
        return self._monotonic() - self._last_event < MAX_SILENCE_SECONDS

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.counters(
            "key_cache_lookups",
            "Lookups in the key cache; a miss calls keysvc.",
            "result",
            lambda: {"hit": self.hits, "miss": self.misses},
        )
        metrics.gauge(
            "key_watch_connected", "1 while the WatchKeys stream is live.", lambda: self.connected
        )

    def get(self, digest: bytes, now: datetime) -> Value | None:
        """The valid entry of a token; counts a hit, or a miss that leads to a lookup in keysvc."""
        entry = self._entries.get(digest)
        value = entry.value if entry is not None and self._is_current(entry, now) else None
        if value is None:
            self.misses += 1
        else:
            self.hits += 1
        return value

    def generation(self) -> int:
        """The number of evictions so far: read it before a call to keysvc, and pass it to `put`."""
        return self._generation

    def put(
        self,
        digest: bytes,
        value: Value,
        organization_id: str,
        expire_time: datetime | None,
        generation: int,
    ) -> None:
        """Store a result of keysvc, unless keys changed after `generation` was read."""
        if generation != self._generation:
            return
        self._remove(digest)
        self._entries[digest] = _Entry(value, organization_id, expire_time, self._monotonic())
        self._of_organization.setdefault(organization_id, set()).add(digest)
        if len(self._entries) > self._max_keys:
            self._remove(next(iter(self._entries)))

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Apply an event of the watch: evict the entries that it may have changed."""
        self._last_event = self._monotonic()
        if event.HasField("reset"):
            self._generation += 1
            self._entries.clear()
            self._of_organization.clear()
        elif event.HasField("organization_change"):
            self._generation += 1
            changed = event.organization_change.organization_id
            for digest in list(self._of_organization.get(changed, ())):
                self._remove(digest)

    def _is_current(self, entry: _Entry[Value], now: datetime) -> bool:
        monotonic_now = self._monotonic()
        return (
            monotonic_now - self._last_event < MAX_SILENCE_SECONDS
            and monotonic_now - entry.stored_at < self._ttl_seconds
            and (entry.expire_time is None or now < entry.expire_time)
        )

    @property
    def _ttl_seconds(self) -> float:
        return max(TTL_SECONDS, len(self._entries) / self._max_confirmations)

    def _remove(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is None:
            return
        digests = self._of_organization[entry.organization_id]
        digests.remove(digest)
        if not digests:
            del self._of_organization[entry.organization_id]


class Listener(Protocol):
    """Receives the events of the key watch."""

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Apply an event of the watch."""


async def watch_keys(
    stub: "keys_pb2_grpc.KeyServiceAsyncStub", log: Logger, *listeners: Listener
) -> None:
    """Pass the events of the key watch to all listeners, and reconnect when the stream breaks.

    Runs until it is cancelled.
    """

    def apply(event: pb.WatchKeysResponse) -> None:
        for each in listeners:
            each.apply(event)

    def report(status_code: str | None) -> None:
        if status_code is None:
            log.info("key watch", connected=True)
        else:
            log.warning("key watch", connected=False, status_code=status_code)

    await watch(lambda: stub.WatchKeys(pb.WatchKeysRequest()), apply, report, RECONNECT_SECONDS)
