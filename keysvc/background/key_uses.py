"""When and from where keys were last used, written behind the requests' backs."""

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
TRIES: Final = 5
"""How often a use is written that fails with an unexpected error."""

_Whose: TypeAlias = tuple[UUID, UUID]
"""The ids of an organization and of its key."""


@dataclass(frozen=True, slots=True)
class _Use:
    time: datetime
    address: str


class KeyUses:
    """Notes uses at once and writes them soon, at most once a minute for each key.

    What a database that is away cannot take is kept, one use for each key,
    until it is back.
    """

    def __init__(self, store: KeyStore, log: Logger) -> None:
        self._store = store
        self._log = log
        self._noted: dict[_Whose, _Use] = {}
        self._tries: Counter[_Whose] = Counter()
        self.dropped = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish how many could not be written."""
        metrics.count(
            "key_uses_dropped", "Uses of keys that were not written.", lambda: self.dropped
        )

    def note(self, key: Key, now: datetime, address: str) -> None:
        """Remember that a key was used, when that is news."""
        if key.use_is_news(now):
            self._noted[key.organization_id, key.key_id] = _Use(now, address)

    async def write(self, drained: asyncio.Event) -> None:
        """Write what is noted, until no more requests come; then the rest, and end.

        A use whose write fails with an unexpected error is tried TRIES times in all and then
        dropped. The errors are raised after the other uses are written, and the next call goes
        on. Without the database all uses are kept.
        """
        while not await wait_for_event(drained, WRITE_SECONDS):
            await self._write_noted()
        await self._write_noted()
        if self._noted:
            self._log.error("key uses lost", count=len(self._noted))

    async def _write_noted(self) -> None:
        faults: list[Exception] = []
        for whose in list(self._noted):
            use = self._noted[whose]
            try:
                await self._store.record_use(*whose, use.time, use.address)
            except DatabaseUnavailable:
                break
            except Exception as error:  # noqa: BLE001 - it is raised below
                faults.append(error)
                if not self._is_last_try(whose):
                    continue
            self._forget(whose, use)
        if faults:
            raise ExceptionGroup("key uses not written", faults)

    def _is_last_try(self, whose: _Whose) -> bool:
        self._tries[whose] += 1
        if self._tries[whose] < TRIES:
            return False
        self.dropped += 1
        self._log.error("key use dropped", key_id=str(whose[1]), attempts=TRIES)
        return True

    def _forget(self, whose: _Whose, use: _Use) -> None:
        del self._tries[whose]
        if self._noted[whose] is use:  # else the key was used again meanwhile
            del self._noted[whose]
