"""When and from where keys were last used, written behind the requests' backs."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.log import Logger
from chassis.refusal import DatabaseUnavailable
from chassis.waiting import wait
from keysvc.key_store import KeyStore
from keysvc.keys import Key

WRITE_SECONDS: Final = 0.5


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
        self._noted: dict[tuple[UUID, UUID], _Use] = {}

    def note(self, key: Key, now: datetime, address: str) -> None:
        """Remember that a key was used, when that is news."""
        if key.use_is_news(now):
            self._noted[key.organization_id, key.key_id] = _Use(now, address)

    async def write(self, drained: asyncio.Event) -> None:
        """Write what is noted, until no more requests come; then the rest, and end."""
        while not await wait(drained, WRITE_SECONDS):
            await self._write_noted()
        await self._write_noted()
        if self._noted:
            self._log.error("uses of keys lost", count=len(self._noted))

    async def _write_noted(self) -> None:
        noted, self._noted = self._noted, {}
        try:
            for organization_id, key_id in list(noted):
                use = noted[organization_id, key_id]
                await self._store.record_use(organization_id, key_id, use.time, use.address)
                del noted[organization_id, key_id]
        except DatabaseUnavailable:
            self._noted = noted | self._noted  # a newer use of the same key wins
