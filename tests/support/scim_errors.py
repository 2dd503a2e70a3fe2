"""Assertions about SCIM errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.scim.errors import ScimError


@contextmanager
def refused(status: int, scim_type: str | None, *mentions: str) -> Iterator[None]:
    """Assert that the block raises this SCIM error, whose detail contains all of `mentions`."""
    with pytest.raises(ScimError) as caught:
        yield
    assert (caught.value.status, caught.value.scim_type) == (status, scim_type)
    for mention in mentions:
        assert mention in caught.value.detail


def assert_client_error(refusal: ScimError) -> None:
    """Assert that an error has a 4xx status and a detail."""
    assert 400 <= refusal.status < 500
    assert refusal.detail
