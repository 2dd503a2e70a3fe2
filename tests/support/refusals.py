"""Assertions about refusals that are raised in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chassis.errors import Refusal, RefusalKind


@contextmanager
def raises_refusal(kind: RefusalKind[*tuple[Any, ...]]) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """The block ends with a refusal of exactly this kind."""
    with pytest.raises(Refusal) as caught:
        yield caught
    assert caught.value.kind is kind
