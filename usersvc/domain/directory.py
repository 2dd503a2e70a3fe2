"""The numbers of users and groups of an organization."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DirectoryCounts:
    """How many users and groups an organization has at one moment."""

    users: int
    active_users: int
    groups: int
