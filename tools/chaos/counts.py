"""Counts the requests during a fault and their results."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tools.entra.client import RequestRecord

RETRYABLE = (429, 503, 504)
"""Statuses permitted during a fault; clients repeat such requests."""
NO_RESPONSE = "no response"
SLOW = "slow"
SLOW_SECONDS = 5.0


@dataclass
class FaultCounts:
    """The counts of one fault."""

    sent: int = 0
    retryable_errors: Counter[str] = field(default_factory=Counter)
    """Retryable errors by status."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Responses that are never permitted."""
    slow: int = 0
    last_failure: float = 0.0
    """Monotonic time of the last error or slow response."""

    def observe(self, record: RequestRecord) -> None:
        """Count a finished request."""
        self.sent += 1
        if record.status in (0, *RETRYABLE):
            self.retryable_errors[str(record.status or NO_RESPONSE)] += 1
            if record.status and not record.retry_after:
                self.wrong[f"{record.status} without Retry-After"] += 1
        elif record.seconds > SLOW_SECONDS:
            self.slow += 1
        else:
            return
        self.last_failure = time.monotonic()
