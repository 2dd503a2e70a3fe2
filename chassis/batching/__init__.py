"""Batches: items that arrive at about the same time are handled by one operation.

An operation (a write to a stream or a log, an SQL statement, a message) has a fixed cost that its
items share. So an item may linger for a few milliseconds until the batch is flushed. An item that
arrives alone never lingers.

Used by the log writer, the fair semaphore, and both sides of the batch stream between services.
"""
