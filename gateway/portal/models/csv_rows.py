"""Lines of CSV that spreadsheets open without running formulas."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"
"""The beginning of a file, by which Excel recognizes UTF-8."""

# Characters that begin a formula in a spreadsheet (OWASP: CSV injection), even after spaces.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
# Some locales separate cells with semicolons or tabs. There, a formula can begin inside a value.
_INNER_FORMULA: Final = re.compile(r"([;\t\r\n] *)(?=[=+\-@＝＋－＠])")  # noqa: RUF001


def escape_formulas(value: str) -> str:
    """Escape a value with an apostrophe wherever a spreadsheet would see a formula."""
    value = _INNER_FORMULA.sub(r"\1'", value)
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def csv_row(values: Iterable[str]) -> str:
    """A line of CSV, with every cell quoted and escaped."""
    text = io.StringIO()
    cells: Sequence[str] = [escape_formulas(value) for value in values]
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
