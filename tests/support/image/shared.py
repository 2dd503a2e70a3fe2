"""The image under test."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.image.images import Store


@dataclass(frozen=True)
class Image:
    """A built image, and what it was built with."""

    store: Store
    name: str
    wheelhouse: Path
