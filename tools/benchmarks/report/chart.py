"""Draws the figures of a comparison as an SVG, for light and dark mode."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

CONNECTIONS = 32
OPERATIONS = {
    "get": "get by id",
    "filter": "filter by userName",
    "create": "create",
    "patch": "PATCH active",
    "member": "group member",
    "mix": "an Entra mix",
}
SUBJECTS = ("service", "without the hop", "django-scim2", "scim2-server", "scimmy")

_WIDTH, _MARGIN, _NAME, _BAR, _GAP, _HEAD = 860, 24, 118, 16, 5, 30
_COLUMNS = 2

_STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .note { fill: #59636e }
    .bar { fill: #8c959f }
    .ours { fill: #0969da }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .note { fill: #9198a1 }
      .bar { fill: #656c76 }
      .ours { fill: #4493f8 }
    }
"""


def chart(comparison: Mapping[str, Any]) -> str:
    """A bar chart of requests a second per operation; the service's bars are coloured."""
    panels = [
        (title, _bars(comparison["rows"], operation)) for operation, title in OPERATIONS.items()
    ]
    panels = [(title, bars) for title, bars in panels if bars]
    height = _HEAD + max((len(bars) for _, bars in panels), default=0) * (_BAR + _GAP) + 14
    rows = -(-len(panels) // _COLUMNS)
    column = (_WIDTH - _MARGIN) // _COLUMNS
    drawn = [
        line
        for index, (title, bars) in enumerate(panels)
        for line in _panel(
            title,
            bars,
            _MARGIN + index % _COLUMNS * column,
            44 + index // _COLUMNS * height,
            column - _MARGIN,
        )
    ]
    title = f"Requests a second, {comparison['people']:,} people, {CONNECTIONS} connections"
    total = 44 + rows * height
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {total}" role="img">',
            f"  <title>{escape(title)}</title>",
            f"  <style>{_STYLE}  </style>",
            f'  <text class="title" x="{_MARGIN}" y="26">{escape(title)}</text>',
            *drawn,
            "</svg>",
            "",
        ]
    )


def _bars(rows: Sequence[Mapping[str, Any]], operation: str) -> list[tuple[str, float]]:
    rates = {
        row["subject"]: row["rate"]
        for row in rows
        if row["operation"] == operation and row["connections"] == CONNECTIONS
    }
    return [(subject, rates[subject]) for subject in SUBJECTS if subject in rates]


def _panel(
    title: str, bars: Sequence[tuple[str, float]], left: int, top: int, width: int
) -> Iterator[str]:
    yield f'  <text class="title" x="{left}" y="{top + 16}">{escape(title)}</text>'
    max_rate = max(rate for _, rate in bars)
    max_length = width - _NAME - 52
    for index, (subject, rate) in enumerate(bars):
        y = top + _HEAD + index * (_BAR + _GAP)
        length = max(1, round(rate / max_rate * max_length))
        kind = "bar ours" if subject == "service" else "bar"
        yield f'  <text class="note" x="{left}" y="{y + 12}">{escape(subject)}</text>'
        yield (
            f'  <rect class="{kind}" x="{left + _NAME}" y="{y}" width="{length}"'
            f' height="{_BAR}" rx="2"/>'
        )
        yield f'  <text x="{left + _NAME + length + 6}" y="{y + 12}">{rate:,.0f}</text>'
