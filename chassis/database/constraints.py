"""Translation of constraint violations into refusals.

A rule is enforced by its constraint. Each store has a table with the refusal for every constraint
that a request can violate.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from chassis.errors import Refusal

Constraints: TypeAlias = Mapping[str, Callable[[str], Refusal]]
"""Constraint name → a function that creates the refusal for a subject, such as a user name."""


@contextmanager
def violations_as_refusals(constraints: Constraints, subject: str = "") -> Iterator[None]:
    """Raise the refusal for a constraint that the block violates.

    The error of any other constraint is raised unchanged: it is an internal error.
    """
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        refusal = constraints.get(error.constraint_name or "")
        if refusal is None:
            raise
        raise refusal(subject) from error
