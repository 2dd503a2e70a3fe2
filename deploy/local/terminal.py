"""Output for the person at the terminal; a closed terminal is not an error."""

import os
import sys


def say(text: str = "") -> None:
    """Print a line; characters that the terminal cannot show become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    try:
        print(text, flush=True)
    except OSError:  # the terminal was closed: continue without output
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def is_colourful() -> bool:
    """Whether to use colour (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
