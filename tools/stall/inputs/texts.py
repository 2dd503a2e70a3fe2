"""Hostile strings: each is a function from a size to a string of about that many characters.

They target backtracking patterns, recursive parsers and case folding.
"""

from collections.abc import Callable, Mapping
from typing import Final

Text = Callable[[int], str]

PEM_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
PEM_END: Final = "-----END CERTIFICATE-----"
UNASSIGNED: Final = "\u0378"
"""An unassigned code point; `str.isprintable` is false for it."""


def repeated(unit: str, before: str = "", after: str = "") -> Text:
    """The unit repeated up to the size, between `before` and `after`."""
    return lambda size: before + unit * max(1, size // len(unit)) + after


UNITS: Final[Mapping[str, str]] = {
    "letters": "a",
    "spaces": " ",
    "tabs and line ends": "\t\r\n",
    "digits": "9",
    "zeros": "0",
    "dots": "a.",
    "commas": "a,",
    "colons": "urn:",
    "slashes": "/a",
    "percent signs": "%41",
    "truncated escapes": "%4",
    "form fields": "a=b&",
    "quotes": '"',
    "escaped quotes": '\\"',
    "backslashes": "\\",
    "unicode escapes": "\\u0378",
    "escaped surrogates": "\\ud800",
    "parentheses": "(",
    "brackets": "[",
    "braces": "{",
    "objects": "{},",
    "negations": "not (",
    "conditions": "active pr or ",
    "value paths": 'emails[type eq "a"] and ',
    "sharp s": "ß",
    "dotted I": "İ",
    "unassigned": UNASSIGNED,
    "supplementary": "\U0001f600",
    "surrogates": "\udc80",
    "NUL": "\0",
    "etags": '"a" , ',
    "etag openings": 'W/"',
    "bearers": "Bearer ",
    "keys": "cak_us_",
    "at signs": "a@",
    "hyphens": "a-",
    "base64": "QUFB",
    "elements": "<a>",
    "comments": "<!--",
    "bulkIds": '"bulkId:a',
    "passwords": "password",
    "addresses": "1.1.1.1, ",
}
"""Units to repeat, by name."""

LATE_MISMATCHES: Final[Mapping[str, Text]] = {
    "an unclosed string of escaped quotes": repeated('\\"', '"'),
    "a closed string of escaped quotes": repeated('\\"', '"', '"'),
    "a comparison with an unclosed string": repeated("\\\\", 'title eq "'),
    "strings after one another": repeated('"a"'),
    "mismatched parentheses": repeated("(", after="]"),
    "a certificate of spaces": repeated(" ", PEM_BEGIN, "!"),
    "a certificate of line ends": repeated("\n", f"{PEM_BEGIN}A", "!"),
    "a certificate without an end": repeated("QUFB\n", PEM_BEGIN),
    "certificates without an end": repeated(f"{PEM_BEGIN}\nQUFB\n"),
    "certificates": repeated(f"{PEM_BEGIN}\nQUFB\n{PEM_END}\n"),
    "an XML declaration of spaces": repeated(" ", "<?xml", "version"),
    "a domain of labels": repeated("a.", after="!"),
    "a label of hyphens": repeated("-", "a", "!"),
    "an etag and spaces": repeated(" ", '"a"', "!"),
    "letters and one quote": repeated("a", after='"'),
    "spaces and one letter": repeated(" ", after="a"),
}
"""Strings that a pattern can reject only at their end."""

TEXTS: Final[Mapping[str, Text]] = {
    **{name: repeated(unit) for name, unit in UNITS.items()},
    **LATE_MISMATCHES,
}
"""All texts."""
