"""What a server knows of its callers: whether their clocks agree, and whether their settings do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chassis.clock import MAX_CLOCK_OFFSET, Clock

VALID_SECONDS: Final = 60.0
"""How long a comparison counts: calls of one caller reach each replica less often than it calls."""
MAX_PEERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """A caller, compared with the other callers of the last VALID_SECONDS."""

    another_agrees: bool
    """Whether the clock of another caller agrees with this server's."""
    settings_differ: bool
    """Whether two callers have different values of the settings that all must share."""


@dataclass(frozen=True, slots=True)
class _Peer:
    at: float
    agrees: bool
    settings_digest: str


class PeerRegistry:
    """The callers of the last VALID_SECONDS, in memory."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._peers: dict[str, _Peer] = {}

    def compare(self, peer_id: str, peer_time: datetime, settings_digest: str) -> Comparison:
        """Remember a caller, and compare it with the others. An empty digest is not compared."""
        now = self._monotonic()
        agrees = abs(self._clock() - peer_time) <= MAX_CLOCK_OFFSET
        others = [
            (other_id, peer)
            for other_id, peer in self._peers.items()
            if other_id != peer_id and now - peer.at < VALID_SECONDS
        ]
        self._peers = dict(others[:MAX_PEERS])
        self._peers[peer_id] = _Peer(now, agrees, settings_digest)
        digests = {peer.settings_digest for peer in self._peers.values()} - {""}
        return Comparison(any(peer.agrees for _, peer in others), len(digests) > 1)
