"""What was sent and how it ended, counted while it happens."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tools.entra.client import Exchange

BUSY = (429, 503, 504)
"""What may be answered while something is broken; a client repeats it."""
NO_ANSWER = "no answer"
SLOW = "slow"
SLOW_SECONDS = 5.0


@dataclass
class Tally:
    """Counts of one fault."""

    sent: int = 0
    busy: Counter[str] = field(default_factory=Counter)
    """Errors that a client shall repeat, by kind."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that must never be given."""
    slow: int = 0
    last_trouble: float = 0.0
    """When, by the monotonic clock, an error or a slow answer came last."""

    def observe(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        self.sent += 1
        if exchange.status in (0, *BUSY):
            self.busy[str(exchange.status or NO_ANSWER)] += 1
            if exchange.status and not exchange.retry_after:
                self.wrong[f"{exchange.status} without Retry-After"] += 1
        elif exchange.seconds > SLOW_SECONDS:
            self.slow += 1
        else:
            return
        self.last_trouble = time.monotonic()
