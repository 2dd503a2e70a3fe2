"""Splits the text of a filter into tokens: words, strings and brackets.

Words and strings must be separated by white space, as in the grammar; more of it is ignored.
"""

import re
from typing import Final, NamedTuple

from gateway.scim.errors import describe, invalid_filter

_TOKEN: Final = re.compile(
    r'\s*(?:([()\[\]])|("[^"\\]*+(?:\\.[^"\\]*+)*")|([^\s()\[\]"]+))', re.DOTALL | re.ASCII
)
_WHITE_SPACE: Final = " \t\n\r\f\v"
PUNCTUATION, STRING, WORD, END = 1, 2, 3, 4


class Token(NamedTuple):
    kind: int
    text: str
    position: int  # of its first character, counted from 1


def tokens(text: str) -> list[Token]:
    """The tokens of a text, and an END token.

    Refuses (invalidFilter) an unterminated string and a missing space.
    """
    found: list[Token] = []
    position, end = 0, len(text.rstrip(_WHITE_SPACE))
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid_filter(
                f"A string in the filter has no closing quote: {describe(text)}. Add it."
            )
        kind = match.lastindex or WORD
        token = Token(kind, match[kind], match.start(kind) + 1)
        if token.position == position + 1 and found and not _may_adjoin(found[-1], token):
            raise invalid_filter(
                f"The filter has no space before {describe(token.text)} at character"
                f" {token.position}. Add it."
            )
        found.append(token)
        position = match.end()
    found.append(Token(END, "", end + 1))
    return found


def _may_adjoin(before: Token, token: Token) -> bool:
    """Whether a token may directly follow another one, or is refused by the parser anyway."""
    if token.kind == PUNCTUATION:
        return token.text != "(" or before.kind != WORD or before.text.lower() == "not"
    if before.text == "]":
        return token.text.startswith(".")  # emails[type eq "work"].value
    return before.kind == PUNCTUATION and before.text in "(["
