"""The words, strings and brackets that a filter is made of."""

import re
from typing import Final, NamedTuple

from gateway.scim.errors import invalid_filter, shown

_TOKEN: Final = re.compile(r'\s*(?:([()\[\]])|("(?:[^"\\]+|\\.)*+")|([^\s()\[\]"]+))', re.DOTALL)
PUNCTUATION, STRING, WORD, END = 1, 2, 3, 4


class Token(NamedTuple):
    kind: int
    text: str
    position: int  # of its first character, counted from 1


def tokens(text: str) -> list[Token]:
    """The tokens of a text and one for its end; refuses a string that does not end."""
    found: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid_filter(f"The filter has a string that does not end: {shown(text)}.")
        kind = match.lastindex or WORD
        found.append(Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    found.append(Token(END, "", end + 1))
    return found
