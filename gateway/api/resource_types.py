"""The User resource type of each organization: standard attributes and custom ones."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cloudacademy.users.v1 import schemas_pb2 as pb

from chassis.concurrency.single_flight import SingleFlight
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.backend.client import Origin
from gateway.backend.schemas import SchemaClient
from gateway.backend.watch import watch
from gateway.convert.schema import to_user_type
from gateway.scim.schema import Attribute, AttributePath, ResourceType

LIFETIME_SECONDS: Final = 10.0
"""How long a type may be used after usersvc confirmed it. A type is confirmed when its schemas are
fetched, and by every later event of the watch."""
MAX_BYTES: Final = 32 * 1024 * 1024
RECONNECT_SECONDS: Final = 1.0

# Estimated bytes of memory of each part of a cached type, without its texts. A test compares the
# estimates with the memory that Python allocates.
_ENTRY_BYTES: Final = 400
_TYPE_BYTES: Final = 2_000
_SCHEMA_BYTES: Final = 1_000
_ATTRIBUTE_BYTES: Final = 320
_PATH_BYTES: Final = 150

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Entry:
    schemas: tuple[bytes, ...]
    user_type: ResourceType
    fetched_at: float
    stream_number: int
    """The number of the WatchSchemas stream that was open when the schemas were fetched."""
    size: int


class ResourceTypes:
    """Caches the User type of each organization, built from its schemas in usersvc.

    An event of `SchemaService.WatchSchemas` evicts a type when its schemas change. If the cache
    exceeds `max_bytes`, the least recently used types are evicted. While the watch is silent, a
    type is used for LIFETIME_SECONDS. After an interruption of the watch, the schemas are fetched
    again. If they are the same, the cache keeps the same type object.
    """

    def __init__(
        self,
        client: SchemaClient,
        max_bytes: int = MAX_BYTES,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._fetches: SingleFlight[tuple[str, int], ResourceType] = SingleFlight()
        self._last_event = -LIFETIME_SECONDS
        self._stream_number = 0
        self._generation = 0
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    @property
    def connected(self) -> bool:
        """Whether the watch is live. If so, types are used until they change."""
        return self._monotonic() - self._last_event < LIFETIME_SECONDS

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.counters(
            "schema_cache_lookups",
            "Lookups of an organization's custom schemas; a miss calls usersvc.",
            "result",
            lambda: {"hit": self.hits, "miss": self.misses},
        )
        metrics.gauge("schema_cache_bytes", "Estimated size of the cache.", lambda: self.size_bytes)
        metrics.gauge(
            "schema_watch_connected",
            "1 while the WatchSchemas stream is live.",
            lambda: self.connected,
        )

    async def user(self, organization_id: str, request_id: str) -> ResourceType:
        """The User type of an organization. Refuses (503) while usersvc is unavailable."""
        entry = self._entries.get(organization_id)
        if entry is not None and self._is_current(entry):
            self.hits += 1
            self._entries.move_to_end(organization_id)
            return entry.user_type
        self.misses += 1
        # Concurrent requests share a call, unless a schema has changed since the call began.
        generation = self._generation
        return await self._fetches.run(
            (organization_id, generation),
            lambda: self._fetch(organization_id, request_id, generation),
        )

    def apply(self, event: pb.WatchSchemasResponse) -> None:
        """Apply an event of the watch: evict the type of an organization whose schemas changed."""
        self._last_event = self._monotonic()
        if event.HasField("reset"):
            self._generation += 1
            self._stream_number += 1
        elif event.HasField("organization_change"):
            self._generation += 1
            self._evict(event.organization_change.organization_id)

    async def watch(self, log: Logger) -> None:
        """Follow the changes of schemas until the task is cancelled."""

        def report(status_code: str | None) -> None:
            if status_code is None:
                log.info("schema watch", connected=True)
            else:
                log.warning("schema watch", connected=False, status_code=status_code)

        await watch(self._client.watch, self.apply, report, RECONNECT_SECONDS)

    def _is_current(self, entry: _Entry) -> bool:
        confirmed_at = max(entry.fetched_at, self._last_event)
        return (
            entry.stream_number == self._stream_number
            and self._monotonic() - confirmed_at < LIFETIME_SECONDS
        )

    async def _fetch(self, organization_id: str, request_id: str, generation: int) -> ResourceType:
        fetched_at, stream_number = self._monotonic(), self._stream_number
        request = pb.ListSchemasRequest(organization_id=organization_id)
        messages = await self._client.list(request, Origin(request_id))
        schemas = tuple([each.SerializeToString(deterministic=True) for each in messages])
        cached = self._entries.get(organization_id)
        if cached is not None and cached.schemas == schemas:
            schemas, user_type = cached.schemas, cached.user_type
        else:
            user_type = to_user_type(schemas)
        if generation == self._generation:  # else the response may lack a change
            size = _estimated_bytes(schemas, user_type)
            self._store(
                organization_id, _Entry(schemas, user_type, fetched_at, stream_number, size)
            )
        return user_type

    def _store(self, organization_id: str, entry: _Entry) -> None:
        self._evict(organization_id)
        self._entries[organization_id] = entry
        self.size_bytes += entry.size
        while self.size_bytes > self._max_bytes:
            self._evict(next(iter(self._entries)))

    def _evict(self, organization_id: str) -> None:
        entry = self._entries.pop(organization_id, None)
        if entry is not None:
            self.size_bytes -= entry.size


def _estimated_bytes(schemas: tuple[bytes, ...], user_type: ResourceType) -> int:
    """The estimated memory of a cached type, without what it shares with other organizations."""
    if not schemas:
        return _ENTRY_BYTES
    return (
        _ENTRY_BYTES
        + _TYPE_BYTES
        + sum(_SCHEMA_BYTES + len(each) for each in schemas)
        + sum(_ATTRIBUTE_BYTES + 2 * len(each.name) for each in _attributes(user_type))
        + sum(_PATH_BYTES + len(each.text) for each in _cached_paths(user_type))
    )


def _attributes(user_type: ResourceType) -> Iterator[Attribute]:
    for schema in user_type.custom:
        for attribute in schema.attributes.values():
            yield attribute
            yield from attribute.sub_attributes.values()


def _cached_paths(user_type: ResourceType) -> Iterator[AttributePath]:
    yield from user_type.always_returned
    yield from user_type.hidden
    for paths in user_type.extension_required.values():
        yield from paths
