"""Limits: admission control, rate limiter, byte budgets, rejections."""
