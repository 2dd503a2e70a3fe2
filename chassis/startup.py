"""The error of a process that cannot start, and the redaction of secrets in its text."""

import re
from typing import Final

_MAY_BE_SECRET: Final = re.compile(r"@|-----|[\w+-]{20}|://[^/,\[]*:(?!\d{1,5}(?:[/,]|$))")
"""Matches an @, which may follow a password; text in place of a port, which may be a password; the
header of a private key; and a run of characters that is too long for a name."""


class StartError(Exception):
    """A process cannot start. The text is one line for its operator."""


def redact(value: str) -> str:
    """An invalid setting, quoted for an error message, or a placeholder if it may be a secret.

    For example, it may be a database URL with a password, or a key in the wrong variable.
    """
    return "(not shown: it may be a secret)" if _MAY_BE_SECRET.search(value) else repr(value)
