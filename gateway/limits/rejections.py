"""Rejections: 429 and 503 with Retry-After, before any work is done for a request."""

import asyncio
import math
from collections import Counter
from enum import StrEnum
from typing import Final

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.scim.errors import ScimError

RETRY_AFTER_SECONDS: Final = 2
"""Retry-After while a service or its database is unavailable."""

LOG_SECONDS: Final = 1.0
"""The log has one line for all rejections in this time: a line for each would add load."""


class RejectReason(StrEnum):
    """The reason of a rejection, as in the metrics and the log."""

    NO_SLOT = "no_slot"
    RATE_LIMIT = "rate_limit"
    NO_RESPONSE_MEMORY = "no_response_memory"
    FAILED_AUTH_LIMIT = "failed_auth_limit"
    NO_PAGE_SLOT = "no_page_slot"
    NO_EXPORT_SLOT = "no_export_slot"
    NO_FORM_MEMORY = "no_form_memory"
    PAGE_RATE_LIMIT = "page_rate_limit"


class RejectedError(ScimError):
    """A request was rejected before any work; it can be sent again after `seconds`."""

    def __init__(self, reason: RejectReason, status: int, detail: str, seconds: float) -> None:
        super().__init__(status, None, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})
        self.reason = reason


def no_slot() -> RejectedError:
    """The rejection (503) of a request for which there is no slot, queue position or memory."""
    return RejectedError(
        RejectReason.NO_SLOT,
        503,
        "Cloud Academy has too many requests at the moment. Nothing was done for this one; send "
        "it again after the seconds in Retry-After.",
        RETRY_AFTER_SECONDS,
    )


class RejectionStats:
    """Counts rejections by reason, and logs the totals."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._counts: Counter[RejectReason] = Counter()
        self._unlogged: Counter[RejectReason] = Counter()
        self._by_organization: Counter[str] = Counter()

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.counters(
            "http_server_requests_rejected",
            "Requests rejected with 429 or 503, by reason.",
            "reason",
            lambda: {reason: self._counts[reason] for reason in RejectReason},
        )

    def count(self, reason: RejectReason, organization_id: str) -> None:
        """Count a rejection; `organization_id` is empty if it is unknown."""
        if not self._unlogged:
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._log_totals)
        self._counts[reason] += 1
        self._unlogged[reason] += 1
        if organization_id:
            self._by_organization[organization_id] += 1

    def _log_totals(self) -> None:
        most = self._by_organization.most_common(1)
        self._log.warning(
            "requests rejected",
            **{str(reason): number for reason, number in self._unlogged.items()},
            top_organization_id=most[0][0] if most else "",
        )
        self._unlogged.clear()
        self._by_organization.clear()
