"""Supervised tasks, semaphores and waiting."""
