"""Why a process cannot start, told to its operator without showing a secret."""

import re
from typing import Final

_MAY_BE_SECRET: Final = re.compile(r"@|-----|[\w+-]{20}|://[^/,\[]*:(?!\d{1,5}(?:[/,]|$))")
"""Matches a password before a host, with its @ or in a port's place, the head of a private key, or
a run of letters too long for a name."""


class StartError(Exception):
    """A process cannot start; the text gives its operator the reason, in one line."""


def redact(value: str) -> str:
    """An invalid setting for an error message; replaced where it may be a secret.

    A password in a database address, or a key that was given to the wrong variable, is one.
    """
    return "(not shown: it may be a secret)" if _MAY_BE_SECRET.search(value) else repr(value)
