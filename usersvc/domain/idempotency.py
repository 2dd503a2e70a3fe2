"""Idempotent create requests (aip.dev/155)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

RETENTION: Final = timedelta(hours=24)
"""How long a repeated create request returns the resource that the first one created."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A create request with an id. The digest shows whether a repetition has the same content."""

    organization_id: UUID
    request_id: UUID
    digest: bytes
