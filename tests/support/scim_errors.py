"""What tests of refusals share."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.scim.errors import ScimError


@contextmanager
def refused(status: int, scim_type: str | None, *mentions: str) -> Iterator[None]:
    """The block is refused this way, with a detail that names each of the things mentioned."""
    with pytest.raises(ScimError) as caught:
        yield
    assert (caught.value.status, caught.value.scim_type) == (status, scim_type)
    for mention in mentions:
        assert mention in caught.value.detail


def assert_refused(refusal: ScimError) -> None:
    """It is the client's fault, and it says which."""
    assert 400 <= refusal.status < 500
    assert refusal.detail
