"""Case folding, for the few comparisons that the database does not make itself.

The rule is Unicode 16's simple case folding (CaseFolding.txt, statuses C and S), which maps one
character to one. The SQL function `fold()` implements the same rule in the database.
- The capital sharp s folds to the small one, which does not equal "ss".
- All forms of sigma are equal.
- The Turkish dotted capital I and dotless small i do not equal "i".
- The Kelvin sign equals "k" and the long s equals "s".
Text is not normalized.

The gateway has a module with the same content, because services share only the protos.
tests/integration/usersvc/listing/test_case_folding.py compares all three for every character.
"""

from collections.abc import Iterator
from typing import Final

_LAST_FOLDED: Final = 0x1E921
"""The last character that Python's case folding changes, up to Unicode 16."""
_BEYOND_PYTHON: Final = {
    # Python has only full case folding, which maps these to several characters.
    0x1FD3: 0x0390,
    0x1FE3: 0x03B0,
    0xFB05: 0xFB06,
    # Characters of Unicode 15 and 16, which Python 3.11 lacks.
    0x1C89: 0x1C8A,
    0xA7CB: 0x0264,
    0xA7CC: 0xA7CD,
    0xA7DA: 0xA7DB,
    0xA7DC: 0x019B,
    **{garay: garay + 0x20 for garay in range(0x10D50, 0x10D66)},
}


def fold(text: str) -> str:
    """Fold the case of a text. Two texts are equal without regard to case if these are equal."""
    return text.lower() if text.isascii() else text.translate(_FOLDS)


def _simple_folds() -> Iterator[tuple[int, int]]:
    """The characters that Python folds, each with the single character that it folds to."""
    for code in range(_LAST_FOLDED + 1):
        character = chr(code)
        if character.casefold() != character:
            folds = (character.casefold(), character.lower(), character)
            yield code, ord(next(each for each in folds if len(each) == 1))


_FOLDS: Final = dict(_simple_folds()) | _BEYOND_PYTHON
