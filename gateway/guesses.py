"""Tokens that are no key: asking about them costs, so who sends many has to wait.

An address of Entra's is one of many customers. So what is slowed is not an
address but the tokens from it that nobody knows: a key that was ever verified
here passes, however many wrong ones its neighbours send.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.buckets import Buckets, Rate
from gateway.errors import RefusedError
from gateway.key_cache import KeyCache
from gateway.turned_away import TurnedAwayError, Why, full

REFUSALS: Final = 2_000
KNOWN: Final = 10_000
ASKED_AT_ONCE: Final = 64
"""About how many tokens that were never verified keysvc is asked at the same moment."""
RECOVERY_SECONDS: Final = 2.0
"""How soon an address that sent too many unknown tokens may try one more."""

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
    RECOVERY_SECONDS. A token that was refused is answered from memory for half a
    minute, or until its organization changes something.
    """

    def __init__(self, at_once: int, monotonic: Monotonic = time.monotonic) -> None:
        self._refusals: KeyCache[RefusedError] = KeyCache(monotonic, max_keys=REFUSALS)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._addresses = Buckets(Rate(1 / RECOVERY_SECONDS, at_once), monotonic)
        self._asked = 0

    def apply(self, event: pb.WatchKeysResponse) -> None:
        """Hear of changes: what was refused before one may be good after it."""
        self._refusals.apply(event)

    def remembered(self, digest: bytes, now: datetime) -> RefusedError | None:
        """The refusal of a token that was asked for lately."""
        return self._refusals.get(digest, now)

    def begin(self, digest: bytes, address: str) -> Question:
        """Ask about a token: refuses TurnedAwayError, 429 if its address has asked too often."""
        is_known = digest in self._known
        if not is_known:
            if self._asked >= ASKED_AT_ONCE:
                raise full()
            wait = self._addresses.take(network(address))
            if wait:
                raise _too_many(wait)
            self._asked += 1
        return Question(digest, network(address), is_known, self._refusals.mark())

    def verified(self, question: Question) -> None:
        """The token is a key."""
        self.given_up(question)
        self._known[question.digest] = None
        self._known.move_to_end(question.digest)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)

    def refused(self, question: Question, refusal: RefusedError) -> None:
        """There was another answer."""
        if refusal.status != 401 or refusal.reason in _SHOWED_THE_SECRET:
            self.given_up(question)  # no guess
        elif not question.is_known:
            self._asked -= 1
        if refusal.status == 401:
            organization_id = refusal.metadata.get("organization_id", "")
            self._refusals.put(question.digest, refusal, organization_id, None, question.mark)

    def given_up(self, question: Question) -> None:
        """There was no answer: the address has not guessed."""
        if not question.is_known:
            self._asked -= 1
            self._addresses.give_back(question.network)


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
        "Too many API keys that do not exist were sent from this address. Keys that worked before "
        "still do. Check the Secret Token in Entra, wait for the seconds in Retry-After, and try "
        "again.",
        seconds,
    )
