"""Create requests that are safe to repeat."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

KEPT: Final = timedelta(hours=24)
"""How long what a request made is remembered."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A create that its caller may repeat; the digest tells it from others."""

    organization_id: UUID
    request_id: UUID
    digest: bytes
