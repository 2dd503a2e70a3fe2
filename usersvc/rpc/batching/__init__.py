"""Batch streams: many calls on one stream."""
