"""Requests that are turned away before anything is done for them: 429 and 503 with Retry-After."""

import asyncio
import math
from collections import Counter
from enum import StrEnum
from typing import Final

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.scim.errors import ScimError

RETRY_AFTER_SECONDS: Final = 2
"""How long a client shall wait when a service or its database is away."""

TELL_SECONDS: Final = 1.0
"""How often at most the log tells how many were turned away: a line each would be a load, too."""


class RejectReason(StrEnum):
    """The reason for which a request is rejected, as metrics and the log name it."""

    FULL = "no_slot"
    RATE = "rate_limit"
    RESPONSES = "no_response_memory"
    GUESSES = "failed_auth_limit"
    PAGES_FULL = "no_page_slot"
    FILES_FULL = "no_export_slot"
    FORMS_FULL = "no_form_memory"
    PAGES_RATE = "page_rate_limit"


class RejectedError(ScimError):
    """Nothing was done for a request; it can be sent again after `seconds`."""

    def __init__(self, why: RejectReason, status: int, detail: str, seconds: float) -> None:
        super().__init__(status, None, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})
        self.why = why


def full() -> RejectedError:
    """As many requests are under way as the gateway takes at once, and as many wait."""
    return RejectedError(
        RejectReason.FULL,
        503,
        "Cloud Academy has too many requests at the moment. Nothing was done for this one; send "
        "it again.",
        RETRY_AFTER_SECONDS,
    )


class RejectionStats:
    """Counts who is turned away, and tells the log the sums."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._counts: Counter[RejectReason] = Counter()
        self._untold: Counter[RejectReason] = Counter()
        self._whose: Counter[str] = Counter()

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell the counts."""
        metrics.counts(
            "http_server_requests_rejected",
            "Requests rejected with 429 or 503, by reason.",
            "reason",
            lambda: {reason: self._counts[reason] for reason in RejectReason},
        )

    def note(self, why: RejectReason, organization_id: str) -> None:
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
            "requests rejected",
            **{str(why): number for why, number in self._untold.items()},
            top_organization_id=most[0][0] if most else "",
        )
        self._untold.clear()
        self._whose.clear()
