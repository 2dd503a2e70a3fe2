"""Small files with secrets or settings: private, and written atomically."""

import os
import secrets
import tempfile
from pathlib import Path

from chassis.config.database_url import DEVELOPMENT


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600; an existing file is replaced atomically."""
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


def read_or_create_secret(path: Path) -> str:
    """The secret stored at `path`; creates a random one on first use.

    Its prefix marks it as a development secret, which no process that is reachable from other
    machines accepts.
    """
    if not path.exists():
        write_private(path, f"{DEVELOPMENT}{secrets.token_urlsafe(32)}\n")
    return path.read_text().strip()
