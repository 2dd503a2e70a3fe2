"""Assertions about refusals that code in this process raises."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chassis.errors import Refusal, RefusalKind


@contextmanager
def raises_refusal(kind: RefusalKind[*tuple[Any, ...]]) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """Assert that the block raises a refusal of exactly this kind."""
    with pytest.raises(Refusal) as caught:
        yield caught
    assert caught.value.kind is kind
