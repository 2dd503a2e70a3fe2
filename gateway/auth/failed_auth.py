"""Rate limits for unknown tokens, because each one costs a lookup in keysvc.

Many customers share the addresses of Entra, and after a restart this gateway knows no key. So a
valid key is never rejected because of other tokens from its address: every token is looked up, a
few at a time for each address, and only invalid tokens count against it. The limit bounds cost,
not guessing: a key has 2^256 possible values.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Final

from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.networks import ClientNetwork, network_of
from gateway.auth.key_cache import KeyCache
from gateway.backend.errors import UNUSABLE_KEY_REASONS, BackendRefusal
from gateway.limits.network_slots import NetworkSlots
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectReason, no_slot
from gateway.scim.errors import ScimError

MAX_REFUSALS: Final = 2_000
MAX_VERIFIED: Final = 50_000
MAX_LOOKUPS: Final = 64
"""The most concurrent lookups of tokens that this gateway never verified."""
MAX_LOOKUPS_OF_SITE: Final = 16
"""The most of these lookups for one IPv6 /48."""
MAX_LOOKUPS_OF_ADDRESS: Final = 4
"""The most of these lookups for one IPv4 address or IPv6 /64."""
MAX_LOOKUPS_OF_SUSPECTS: Final = 16
"""Separate slots for networks over their limit; one IPv6 /48 has at most half of them."""
PACE_SECONDS: Final = 0.1
"""How long a refused token over a limit keeps its slot, so a slot serves at most 10 a second."""
RECOVERY_SECONDS: Final = 2.0
"""An address over its limit may send one more unknown token after this time."""
SITE_MULTIPLE: Final = 8
"""An IPv6 /48 may send this multiple of the unknown tokens of an address."""
TOTAL_MULTIPLE: Final = 100
"""All sources together may send this multiple of the unknown tokens of an address."""

_ALL: Final = ""

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class KeyLookup:
    """A lookup of a token in keysvc."""

    digest: bytes
    network: ClientNetwork
    slots: NetworkSlots | None
    """The slots of which the lookup holds one; None for a token that was verified before."""
    generation: int


class FailedAuthLimiter:
    """Remembers refused tokens, and limits how many each network may send.

    An IPv4 address or IPv6 /64 may send `burst` different refused tokens, and one more each
    RECOVERY_SECONDS. A /48 may send SITE_MULTIPLE times as many, and all networks together
    TOTAL_MULTIPLE times as many. Further refused tokens get 429. The refusal of a token is cached
    for half a minute, or until its organization changes a key.

    A 429 is decided after the lookup, so slots bound the load on keysvc. Networks over their limit
    share a few separate slots, and each refused token keeps its slot for PACE_SECONDS. Other
    networks use the remaining slots.
    """

    def __init__(self, burst: int, monotonic: Monotonic = time.monotonic) -> None:
        self._refusals: KeyCache[BackendRefusal] = KeyCache(
            monotonic, max_keys=MAX_REFUSALS, max_confirmations=inf
        )
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        self._charged: OrderedDict[bytes, None] = OrderedDict()
        self._hosts, self._sites, self._all = (
            RateLimiter(Rate(times / RECOVERY_SECONDS, times * burst), monotonic)
            for times in (1, SITE_MULTIPLE, TOTAL_MULTIPLE)
        )
        self._slots = NetworkSlots(
            MAX_LOOKUPS, no_slot, per_site=MAX_LOOKUPS_OF_SITE, per_host=MAX_LOOKUPS_OF_ADDRESS
        )
        self._suspect_slots = NetworkSlots(
            MAX_LOOKUPS_OF_SUSPECTS,
            no_slot,
            per_site=MAX_LOOKUPS_OF_SUSPECTS // 2,
            per_host=MAX_LOOKUPS_OF_ADDRESS,
        )

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Apply a change of keys: a token that was refused before it may be valid now."""
        self._refusals.apply(event)

    def cached_refusal(self, digest: bytes, now: datetime) -> BackendRefusal | None:
        """The cached refusal of a token."""
        return self._refusals.get(digest, now)

    async def begin_lookup(self, digest: bytes, address: str) -> KeyLookup:
        """Begin the lookup of a token; this may wait for a slot.

        Refuses RejectedError (503) if the queue is full or no slot becomes free in time.
        """
        network, slots = network_of(address), None
        if digest not in self._verified:
            slots = self._suspect_slots if self._is_suspect(network) else self._slots
            await slots.acquire(network)
        return KeyLookup(digest, network, slots, self._refusals.generation())

    def record_verified(self, lookup: KeyLookup) -> None:
        """End a lookup whose token is a valid key."""
        self.end_lookup(lookup)
        _remember(self._verified, lookup.digest, MAX_VERIFIED)

    def record_refusal(self, lookup: KeyLookup, refusal: BackendRefusal) -> ScimError:
        """End a lookup whose token was refused; return the error to raise (429 if over a limit).

        The cache stores the refusal, not the 429: the same token sent again gets the refusal.
        """
        if refusal.status != 401:
            self.end_lookup(lookup)
            return refusal.error()
        organization_id = refusal.metadata.get("organization_id", "")
        self._refusals.put(lookup.digest, refusal, organization_id, None, lookup.generation)
        wait = 0.0 if refusal.reason in UNUSABLE_KEY_REASONS else self._charge(lookup)
        if not wait:
            self.end_lookup(lookup)
            return refusal.error()
        asyncio.get_running_loop().call_later(PACE_SECONDS, self.end_lookup, lookup)
        return _over_limit(wait)

    def end_lookup(self, lookup: KeyLookup) -> None:
        """End a lookup without a result; it does not count against the network."""
        if lookup.slots is not None:
            lookup.slots.release(lookup.network)

    def _is_suspect(self, network: ClientNetwork) -> bool:
        """Whether a network is over its limit, or failed recently while the total is exceeded."""
        if self._hosts.retry_after(network.host) or self._sites.retry_after(network.site):
            return True
        has_failed = not (self._hosts.is_full(network.host) and self._sites.is_full(network.site))
        return has_failed and self._all.retry_after(_ALL) > 0.0

    def _charge(self, lookup: KeyLookup) -> float:
        """Charge a token once to its address, its /48 and the total; return the seconds to wait."""
        if lookup.slots is None or lookup.digest in self._charged:
            return 0.0
        network = lookup.network
        wait = max(self._hosts.try_charge(network.host), self._sites.try_charge(network.site))
        if not wait:
            _remember(self._charged, lookup.digest, MAX_REFUSALS)
        return max(wait, self._all.try_charge(_ALL))


def _remember(digests: OrderedDict[bytes, None], digest: bytes, limit: int) -> None:
    digests[digest] = None
    digests.move_to_end(digest)
    if len(digests) > limit:
        digests.popitem(last=False)


def _over_limit(seconds: float) -> RejectedError:
    return RejectedError(
        RejectReason.FAILED_AUTH_LIMIT,
        429,
        "This API key does not exist, and too many such keys were sent from this address or "
        "others. Check the key in your identity provider, wait for the seconds in Retry-After, and "
        "try again.",
        seconds,
    )
