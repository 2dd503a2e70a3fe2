"""Decisions on how much is admitted: admission control, rate limits, rejections."""
