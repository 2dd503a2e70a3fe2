"""Limits on the time and size of batches."""

from typing import Final

STREAM_LINGER_SECONDS: Final = 0.004
"""How long a call or a result lingers on a batch stream: about the duration of a small call."""
STREAM_BATCH_SIZE: Final = 32
"""A message with this many calls or results is flushed immediately."""
STREAM_MIN_CONCURRENCY: Final = 4
"""Nothing lingers below this number of calls in progress: a batch would hold one or two items."""
STREAM_ITEM_BYTES: Final = 64 * 1024
"""Larger requests and responses use a stream of their own, so that no other waits behind them."""
RELEASE_LINGER_SECONDS: Final = 0.05
"""How long a free slot of a semaphore lingers while too few slots for a batch are free."""
LOG_LINGER_SECONDS: Final = 0.01
"""The shortest time between two writes of log lines. SIGKILL loses the lines of this period."""
OWN_LOAD_KEYS: Final = 8
"""A partition that loads this many keys at once has its own statement, which delays no other."""
SHARED_LOAD_KEYS: Final = 32
"""The most keys of one statement that several partitions share."""
