"""Small files that hold secrets or settings: private, and never seen half-written."""

import os
import secrets
import tempfile
from pathlib import Path

from chassis.config.database_url import DEVELOPMENT


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, mode 0600, replacing what was there in one step."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_or_make_secret(path: Path) -> str:
    """The secret kept at `path`; a new random one the first time.

    It says that it is for development, so that no process takes it which others can reach.
    """
    if not path.exists():
        write_private(path, f"{DEVELOPMENT}{secrets.token_urlsafe(32)}\n")
    return path.read_text().strip()
