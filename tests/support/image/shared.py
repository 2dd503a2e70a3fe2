"""The image under test."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.image.images import Store


@dataclass(frozen=True)
class Image:
    """A built image and its build arguments."""

    store: Store
    name: str
    wheelhouse: Path
