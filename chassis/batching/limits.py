"""How long batches linger, and how large they become."""

from typing import Final

STREAM_LINGER_SECONDS: Final = 0.004
"""How long a call or an outcome lingers on a batch stream. A small call takes about as long."""
STREAM_BATCH_SIZE: Final = 32
"""A message with this many calls or outcomes is flushed immediately."""
STREAM_MIN_CONCURRENCY: Final = 4
"""With fewer calls in progress a batch would hold one or two items: nothing lingers."""
STREAM_ITEM_BYTES: Final = 64 * 1024
"""Larger requests and responses use a stream of their own: others would wait behind them."""
RELEASE_LINGER_SECONDS: Final = 0.05
"""How long a free slot of a semaphore lingers until enough slots for a batch are free."""
LOG_LINGER_SECONDS: Final = 0.01
"""The shortest time between two writes of log lines. SIGKILL loses the lines of this time."""
