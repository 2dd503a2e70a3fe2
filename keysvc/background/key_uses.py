"""Background recording of the last use of keys: time and address."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from chassis.concurrency.waiting import wait_for_event
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from keysvc.domain.keys import Key
from keysvc.store.keys import KeyStore

WRITE_SECONDS: Final = 0.5
MAX_ATTEMPTS: Final = 5
"""The number of attempts to write a use if they fail with unexpected errors."""

_KeyReference: TypeAlias = tuple[UUID, UUID]
"""The ids of an organization and one of its keys."""


@dataclass(frozen=True, slots=True)
class _Use:
    time: datetime
    address: str


class KeyUses:
    """Queues uses of keys and writes them later, at most once a minute for each key.

    While the database is unavailable, the last use of each key stays in the queue.
    """

    def __init__(self, store: KeyStore, log: Logger) -> None:
        self._store = store
        self._log = log
        self._pending: dict[_KeyReference, _Use] = {}
        self._attempts: Counter[_KeyReference] = Counter()
        self.dropped = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish the number of uses that were dropped."""
        metrics.counter(
            "key_uses_dropped", "Uses of keys that were not written.", lambda: self.dropped
        )

    def add(self, key: Key, now: datetime, address: str) -> None:
        """Queue a use of a key, unless its last use was recorded recently."""
        if key.should_record_use(now):
            self._pending[key.organization_id, key.key_id] = _Use(now, address)

    async def write(self, drained: asyncio.Event) -> None:
        """Write the queue at intervals until `drained` is set; then write the rest and return.

        A use is dropped after MAX_ATTEMPTS attempts that failed with unexpected errors. Such errors
        are raised after the other uses are written; the next call continues. While the database is
        unavailable, all uses are kept.
        """
        while not await wait_for_event(drained, WRITE_SECONDS):
            await self._write_pending()
        await self._write_pending()
        if self._pending:
            self._log.error("key uses lost", count=len(self._pending))

    async def _write_pending(self) -> None:
        errors: list[Exception] = []
        for reference in list(self._pending):
            use = self._pending[reference]
            try:
                await self._store.record_use(*reference, use.time, use.address)
            except DatabaseUnavailable:
                break
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
                if not self._is_last_attempt(reference):
                    continue
            self._remove(reference, use)
        if errors:
            raise ExceptionGroup("key uses not written", errors)

    def _is_last_attempt(self, reference: _KeyReference) -> bool:
        self._attempts[reference] += 1
        if self._attempts[reference] < MAX_ATTEMPTS:
            return False
        self.dropped += 1
        self._log.error("key use dropped", key_id=str(reference[1]), attempts=MAX_ATTEMPTS)
        return True

    def _remove(self, reference: _KeyReference, use: _Use) -> None:
        del self._attempts[reference]
        if self._pending[reference] is use:  # otherwise the key was used again meanwhile
            del self._pending[reference]
