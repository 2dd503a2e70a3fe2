"""Text without regard to case, as filters and PATCH compare it in the gateway.

The rule is Unicode's simple case folding (CaseFolding.txt, statuses C and S) of Unicode 16, one
character for one; usersvc's SQL function `fold()` states it for all that the
database compares. A capital sharp s is a small one, which is not "ss". Every sigma is
alike, wherever it stands. The Turkish dotted capital and dotless small i are not "i". The Kelvin
sign is "k" and the long s is "s". Text is not normalized.

tests/integration/usersvc/listing/test_case_folding.py compares the two over all characters.
"""

from collections.abc import Iterator
from typing import Final

_LAST_FOLDED: Final = 0x1E921
"""The last character that Python folds to another one, if it knows no later Unicode than 16."""
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
    """The text in the form in which it is compared: two texts are equal if their forms are."""
    return text.lower() if text.isascii() else text.translate(_FOLDS)


def _simple_folds() -> Iterator[tuple[int, int]]:
    """The characters that Python folds to others, where one character replaces one."""
    for code in range(_LAST_FOLDED + 1):
        character = chr(code)
        if character.casefold() != character:
            folds = (character.casefold(), character.lower(), character)
            yield code, ord(next(each for each in folds if len(each) == 1))


_FOLDS: Final = dict(_simple_folds()) | _BEYOND_PYTHON
