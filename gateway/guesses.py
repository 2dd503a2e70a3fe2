"""Tokens that are no key: asking about them costs, so who sends many has to wait.

An address of Entra's is one of many customers, and after a restart no key was
seen here before. So no key is turned away for what its neighbours send: each is
asked about, a few at once of an address, and only a token that is no key uses up
what its address may guess. Nobody finds one of 2^256; the limit is of costs.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.places import Places
from gateway.buckets import Buckets, Rate
from gateway.errors import RefusedError
from gateway.key_cache import KeyCache
from gateway.scim.errors import ScimError
from gateway.turned_away import TurnedAwayError, Why, full

REFUSALS: Final = 2_000
KNOWN: Final = 10_000
ASKED_AT_ONCE: Final = 64
"""About how many tokens that were never verified here keysvc is asked at the same moment."""
ASKED_OF_ADDRESS: Final = 4
"""About how many of these that came from one address: others of it wait for their turn."""
RECOVERY_SECONDS: Final = 2.0
"""How soon an address that sent too many unknown tokens has one more guess."""

_SHOWED_THE_SECRET: Final = ("KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE")

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Question:
    """A token that keysvc is asked about."""

    digest: bytes
    network: str
    is_known: bool
    """Whether it was a key when it was asked about before."""
    mark: int


class Guesses:
    """What is remembered of tokens that were refused, and of the addresses they came from.

    `at_once` distinct ones may come from an address after a rest, then one each
    RECOVERY_SECONDS; more are answered 429. A token that was refused is answered from
    memory for half a minute, or until its organization changes something.
    """

    def __init__(self, at_once: int, monotonic: Monotonic = time.monotonic) -> None:
        self._refusals: KeyCache[RefusedError] = KeyCache(monotonic, max_keys=REFUSALS)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._addresses = Buckets(Rate(1 / RECOVERY_SECONDS, at_once), monotonic)
        self._charged: OrderedDict[bytes, None] = OrderedDict()
        self._places = Places(ASKED_AT_ONCE, full, share=ASKED_OF_ADDRESS)

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Hear of changes: what was refused before one may be good after it."""
        self._refusals.apply(event)

    def remembered(self, digest: bytes, now: datetime) -> RefusedError | None:
        """The refusal of a token that was asked for lately."""
        return self._refusals.get(digest, now)

    async def begin(self, digest: bytes, address: str) -> Question:
        """Ask about a token, after a moment's wait at most.

        Refuses TurnedAwayError (503) if too many wait before it, or for too long.
        """
        whose = network(address)
        is_known = digest in self._known
        if not is_known:
            await self._places.take(whose)
        return Question(digest, whose, is_known, self._refusals.mark())

    def verified(self, question: Question) -> None:
        """The token is a key."""
        self.given_up(question)
        _remember(self._known, question.digest, KNOWN)

    def refused(self, question: Question, refusal: RefusedError) -> ScimError:
        """There was another answer: what the client is told, 429 if its address guessed too often.

        What is remembered is the refusal itself: who sends the token again is told it.
        """
        self.given_up(question)
        if refusal.status != 401:
            return refusal
        organization_id = refusal.metadata.get("organization_id", "")
        self._refusals.put(question.digest, refusal, organization_id, None, question.mark)
        wait = 0.0 if refusal.reason in _SHOWED_THE_SECRET else self._charge(question)
        return _too_many(wait) if wait else refusal

    def given_up(self, question: Question) -> None:
        """There was no answer: the address has not guessed."""
        if not question.is_known:
            self._places.give_back(question.network)

    def _charge(self, question: Question) -> float:
        """Take a guess of the address, one for each token; the seconds until there is one."""
        if question.is_known or question.digest in self._charged:
            return 0.0
        wait = self._addresses.take(question.network)
        if not wait:
            _remember(self._charged, question.digest, REFUSALS)
        return wait


def _remember(digests: OrderedDict[bytes, None], digest: bytes, most: int) -> None:
    digests[digest] = None
    digests.move_to_end(digest)
    if len(digests) > most:
        digests.popitem(last=False)


def network(address: str) -> str:
    """Whom an address stands for: of IPv6 everybody has at least a /64 (RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ip_network((int(parsed) >> 64 << 64, 64)))
    return address


def _too_many(seconds: float) -> TurnedAwayError:
    return TurnedAwayError(
        Why.GUESSES,
        429,
        "Too many API keys that do not exist were sent from this address, and this is one of them. "
        "Check the Secret Token in Entra, wait for the seconds in Retry-After, and try again.",
        seconds,
    )
