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
from typing import Final

from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.networks import ClientNetwork, network_of
from gateway.auth.key_cache import KeyCache
from gateway.backend.errors import UNUSABLE_KEY_REASONS, Refusal
from gateway.limits.network_slots import NetworkSlots
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectReason, full
from gateway.scim.errors import ScimError

REFUSALS: Final = 2_000
KNOWN: Final = 10_000
MAX_LOOKUPS: Final = 64
"""Concurrent questions to keysvc about tokens that this gateway never verified."""
MAX_LOOKUPS_OF_SITE: Final = 16
"""The most of these from one IPv6 /48."""
MAX_LOOKUPS_OF_ADDRESS: Final = 4
"""The most of these from one IPv4 address or IPv6 /64."""
MAX_LOOKUPS_OF_SUSPECTS: Final = 16
"""Separate slots for sources over their limit; one IPv6 /48 has at most half of them."""
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
    """A token that keysvc is asked about."""

    digest: bytes
    source: ClientNetwork
    slots: NetworkSlots | None
    """The slots that it took one of; None for a token that was verified before."""
    mark: int


class FailedAuthLimiter:
    """Remembers refused tokens, and limits how many each network may send.

    `at_once` distinct ones may come from an IPv4 address or IPv6 /64 after a rest, then one
    each RECOVERY_SECONDS, SITE_MULTIPLE as many from a /48, and TOTAL_MULTIPLE as many from all
    together; more are answered 429. A token that was refused is answered from memory for half
    a minute, or until its organization changes something.

    A 429 is decided after the lookup, so slots bound the load on keysvc. Sources over their limit
    share a few separate slots, and each refused token keeps its slot for PACE_SECONDS. Other
    sources use the remaining slots.
    """

    def __init__(self, at_once: int, monotonic: Monotonic = time.monotonic) -> None:
        self._refusals: KeyCache[Refusal] = KeyCache(monotonic, max_keys=REFUSALS)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._charged: OrderedDict[bytes, None] = OrderedDict()
        self._hosts, self._sites, self._all = (
            RateLimiter(Rate(times / RECOVERY_SECONDS, times * at_once), monotonic)
            for times in (1, SITE_MULTIPLE, TOTAL_MULTIPLE)
        )
        self._slots = NetworkSlots(
            MAX_LOOKUPS, full, of_site=MAX_LOOKUPS_OF_SITE, of_host=MAX_LOOKUPS_OF_ADDRESS
        )
        self._suspects = NetworkSlots(
            MAX_LOOKUPS_OF_SUSPECTS,
            full,
            of_site=MAX_LOOKUPS_OF_SUSPECTS // 2,
            of_host=MAX_LOOKUPS_OF_ADDRESS,
        )

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Apply a change of keys: a token that was refused before it may be valid now."""
        self._refusals.apply(event)

    def remembered(self, digest: bytes, now: datetime) -> Refusal | None:
        """The cached refusal of a token."""
        return self._refusals.get(digest, now)

    async def begin(self, digest: bytes, address: str) -> KeyLookup:
        """Begin a question about a token; this may wait for a slot.

        Refuses RejectedError (503) if too many wait before it, or for too long.
        """
        source, slots = network_of(address), None
        if digest not in self._known:
            slots = self._suspects if self._is_suspect(source) else self._slots
            await slots.acquire(source)
        return KeyLookup(digest, source, slots, self._refusals.mark())

    def verified(self, question: KeyLookup) -> None:
        """The token is a key."""
        self.end_lookup(question)
        _remember(self._known, question.digest, KNOWN)

    def refused(self, question: KeyLookup, refusal: Refusal) -> ScimError:
        """End a lookup whose token was refused; return the error to raise (429 if over a limit).

        The refusal is remembered, not this error: the same token sent again gets the refusal.
        """
        if refusal.status != 401:
            self.end_lookup(question)
            return refusal.error()
        organization_id = refusal.metadata.get("organization_id", "")
        self._refusals.put(question.digest, refusal, organization_id, None, question.mark)
        wait = 0.0 if refusal.reason in UNUSABLE_KEY_REASONS else self._charge(question)
        if not wait:
            self.end_lookup(question)
            return refusal.error()
        asyncio.get_running_loop().call_later(PACE_SECONDS, self.end_lookup, question)
        return _too_many(wait)

    def end_lookup(self, question: KeyLookup) -> None:
        """End a question without an answer; it does not count against the source."""
        if question.slots is not None:
            question.slots.release(question.source)

    def _is_suspect(self, source: ClientNetwork) -> bool:
        """Whether a source is over its limit, or sent any while the total is exceeded."""
        if self._hosts.retry_after(source.host) or self._sites.retry_after(source.site):
            return True
        has_guessed = not (self._hosts.is_full(source.host) and self._sites.is_full(source.site))
        return has_guessed and self._all.retry_after(_ALL) > 0.0

    def _charge(self, question: KeyLookup) -> float:
        """Count a token once against its address, /48 and the total; return the seconds to wait."""
        if question.slots is None or question.digest in self._charged:
            return 0.0
        source = question.source
        of_source = max(self._hosts.try_charge(source.host), self._sites.try_charge(source.site))
        if not of_source:
            _remember(self._charged, question.digest, REFUSALS)
        return max(of_source, self._all.try_charge(_ALL))


def _remember(digests: OrderedDict[bytes, None], digest: bytes, most: int) -> None:
    digests[digest] = None
    digests.move_to_end(digest)
    if len(digests) > most:
        digests.popitem(last=False)


def _too_many(seconds: float) -> RejectedError:
    return RejectedError(
        RejectReason.GUESSES,
        429,
        "Too many API keys that do not exist were sent from this address or others, and this is "
        "one of them. Check the Secret Token in Entra, wait for the seconds in Retry-After, and "
        "try again.",
        seconds,
    )
