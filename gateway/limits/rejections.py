"""Requests that are turned away before anything is done for them: 429 and 503 with Retry-After."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.scim.errors import ScimError

RETRY_AFTER_SECONDS: Final = 2
"""How long a client shall wait when a service or its database is away."""

TELL_SECONDS: Final = 1.0
"""How often at most the log tells how many were turned away: a line each would be a load, too."""


class Why(StrEnum):
    """Why requests are turned away, as metrics and the log name it."""

    FULL = "requests_shed"
    RATE = "requests_limited"
    RESPONSES = "responses_shed"
    GUESSES = "keys_limited"
    PAGES_FULL = "pages_shed"
    FILES_FULL = "files_shed"
    FORMS_FULL = "forms_shed"
    PAGES_RATE = "pages_limited"


_WHAT: Final[Mapping[Why, str]] = {
    Why.FULL: "Requests that found no place, answered 503.",
    Why.RATE: "Requests over an organization's rate, answered 429.",
    Why.RESPONSES: "Large responses for which there was no memory, answered 503.",
    Why.GUESSES: "Unknown keys from addresses that sent many, answered 429.",
    Why.PAGES_FULL: "Pages that found no place, answered 503.",
    Why.FILES_FULL: "Files with the log that found no place, answered 503.",
    Why.FORMS_FULL: "Forms of pages for which there was no memory, answered 503.",
    Why.PAGES_RATE: "Pages over the rate of an organization or address, answered 429.",
}


class TurnedAwayError(ScimError):
    """Nothing was done for a request; it can be sent again after `seconds`."""

    def __init__(self, why: Why, status: int, detail: str, seconds: float) -> None:
        super().__init__(status, None, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})
        self.why = why


def full() -> TurnedAwayError:
    """As many requests are under way as the gateway takes at once, and as many wait."""
    return TurnedAwayError(
        Why.FULL,
        503,
        "Cloud Academy has too many requests at the moment. Nothing was done for this one; send "
        "it again.",
        RETRY_AFTER_SECONDS,
    )


class Tally:
    """Counts who is turned away, and tells the log the sums."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._counts: Counter[Why] = Counter()
        self._untold: Counter[Why] = Counter()
        self._whose: Counter[str] = Counter()

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell the counts."""
        for why, what in _WHAT.items():
            metrics.count(why, what, lambda why=why: self._counts[why])  # type: ignore[misc]

    def note(self, why: Why, organization_id: str) -> None:
        """Count one; the organization is empty where nobody knows it."""
        if not self._untold:
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)
        self._counts[why] += 1
        self._untold[why] += 1
        if organization_id:
            self._whose[organization_id] += 1

    def _tell(self) -> None:
        most = self._whose.most_common(1)
        self._log.warning(
            "turned away",
            **{str(why): number for why, number in self._untold.items()},
            most_of=most[0][0] if most else "",
        )
        self._untold.clear()
        self._whose.clear()
