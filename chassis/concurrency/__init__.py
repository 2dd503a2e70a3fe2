"""Supervised tasks, semaphores, notifications and shared calls."""
