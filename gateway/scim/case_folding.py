"""Case folding for comparisons that filters and PATCH make in the gateway.

The rule is Unicode 16's simple case folding (CaseFolding.txt, statuses C and S): each character
folds to exactly one. The SQL function `fold()` of usersvc does the same for comparisons in the
database. Capital sharp s folds to small sharp s, not to "ss". All forms of sigma are equal. The
Turkish dotted capital I and dotless small i do not fold to "i". The Kelvin sign folds to "k" and
the long s to "s". Text is not normalized.

tests/integration/usersvc/listing/test_case_folding.py compares both over all characters.
"""

from collections.abc import Iterator
from typing import Final

_LAST_FOLDED: Final = 0x1E921
"""The last character that Python folds to another one, in Unicode versions up to 16."""
_BEYOND_PYTHON: Final = {
    # Simple foldings that Python's full folding hides.
    0x1FD3: 0x0390,
    0x1FE3: 0x03B0,
    0xFB05: 0xFB06,
    # Characters of Unicode 15 and 16, which Python 3.11 does not know.
    0x1C89: 0x1C8A,
    0xA7CB: 0x0264,
    0xA7CC: 0xA7CD,
    0xA7DA: 0xA7DB,
    0xA7DC: 0x019B,
    **{garay: garay + 0x20 for garay in range(0x10D50, 0x10D66)},
}


def fold(text: str) -> str:
    """The case-folded text: two texts are equal without regard to case if these are equal."""
    return text.lower() if text.isascii() else text.translate(_FOLDS)


def _simple_folds() -> Iterator[tuple[int, int]]:
    """The simple foldings of Python: code point → code point."""
    for code in range(_LAST_FOLDED + 1):
        character = chr(code)
        if character.casefold() != character:
            folds = (character.casefold(), character.lower(), character)
            yield code, ord(next(each for each in folds if len(each) == 1))


_FOLDS: Final = dict(_simple_folds()) | _BEYOND_PYTHON
