"""Broken constraints of a database, as refusals.

The constraint is a rule's first home. Each store has a table that names the refusal of every
constraint that a caller can break.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from chassis.errors import Refusal

Constraints: TypeAlias = Mapping[str, Callable[[str], Refusal]]
"""Constraint name → a function that makes the refusal for a subject, such as a user name."""


@contextmanager
def violations_as_refusals(constraints: Constraints, subject: str = "") -> Iterator[None]:
    """Raise the refusal of a constraint that the block breaks.

    A constraint that the table does not name is a fault of ours: its error is raised as it is.
    """
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        refusal = constraints.get(error.constraint_name or "")
        if refusal is None:
            raise
        raise refusal(subject) from error
