"""Retries of changes that conflict with other writers."""

import asyncio

import pytest

from gateway.api.versions import MAX_ATTEMPTS, ContendedError, retry_on_conflict
from gateway.backend.errors import BackendRefusal
from gateway.scim.errors import ScimError

CONFLICT = BackendRefusal(412, None, "It has changed.", {}, "ETAG_MISMATCH", {})


class Race:
    """An attempt that conflicts a number of times; it records attempts and pauses in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, losses: int) -> None:
        self.events: list[str] = []
        self._losses = losses
        self._sleep = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self._pause)

    async def attempt(self) -> str:
        self.events.append("attempt")
        if self.events.count("attempt") <= self._losses:
            raise CONFLICT.error()
        return "written"

    async def _pause(self, seconds: float) -> None:
        self.events.append("pause")
        await self._sleep(0)


async def test_change_that_loses_every_race_gets_503_after_all_attempts(monkeypatch):
    race = Race(monkeypatch, MAX_ATTEMPTS)

    with pytest.raises(ContendedError) as contended:
        await retry_on_conflict(race.attempt, "")

    assert race.events == ["attempt", *["pause", "attempt"] * (MAX_ATTEMPTS - 1)]
    assert (contended.value.status, dict(contended.value.headers)) == (503, {"Retry-After": "2"})


async def test_change_that_loses_a_race_is_attempted_again(monkeypatch):
    race = Race(monkeypatch, 1)

    assert await retry_on_conflict(race.attempt, "") == "written"
    assert race.events == ["attempt", "pause", "attempt"]


async def test_change_with_an_etag_is_attempted_once(monkeypatch):
    race = Race(monkeypatch, 1)

    with pytest.raises(ScimError) as conflict:
        await retry_on_conflict(race.attempt, "7")

    assert (conflict.value.status, race.events) == (412, ["attempt"])
