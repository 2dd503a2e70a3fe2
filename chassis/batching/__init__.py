"""Batches: items that arrive at about the same time are handled by one operation.

An operation (a write to a stream or a log, an SQL statement, a message) has a fixed cost, which
the items of a batch share. An item may linger for a few milliseconds until its batch is flushed. An
item that arrives alone never lingers.

Used by the log writer, the fair semaphore, and both sides of the batch stream between services.
"""
