"""The counts of a run, its progress bar and its summary."""

import json
import sys
import time
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TextIO

from tools.entra.client import RequestRecord

REASONS_SHOWN = 5
BAR_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run; `failed` counts people, `reasons` has the first error of each."""

    people: int
    created: int
    matched: int
    updated: int
    disabled: int
    restored: int
    deleted: int
    failed: int
    verified: int
    seconds: float
    requests: int
    retried: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    reasons: tuple[str, ...]
    stopped: str | None = None

    @property
    def succeeded(self) -> bool:
        return not self.failed and self.stopped is None


@dataclass(slots=True)
class RunCounts:
    """The counts of a run in progress."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    durations: "array[float]" = field(default_factory=lambda: array("d"))
    retried: int = 0
    started: float = field(default_factory=time.monotonic)

    def observe(self, record: RequestRecord) -> None:
        self.durations.append(record.seconds)
        self.retried += record.status in (429, 503)

    def failed(self, number: int, reason: str) -> None:
        self.failures.setdefault(number, reason)

    def summary(self, people: int, stopped: str | None = None) -> Summary:
        seconds = time.monotonic() - self.started
        in_order = sorted(self.durations)
        return Summary(
            people=people,
            created=self.counts["created"],
            matched=self.counts["matched"],
            updated=self.counts["updated"],
            disabled=self.counts["disabled"],
            restored=self.counts["restored"],
            deleted=self.counts["deleted"],
            failed=len(self.failures),
            verified=self.counts["verified"],
            seconds=round(seconds, 2),
            requests=len(in_order),
            retried=self.retried,
            requests_per_second=round(len(in_order) / seconds, 1) if seconds else 0.0,
            p50_ms=_percentile_ms(in_order, 50),
            p99_ms=_percentile_ms(in_order, 99),
            reasons=tuple(self.failures.values()),
            stopped=stopped,
        )


class Progress:
    """A progress bar on a terminal, else one line per phase."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._terminal = out is not None and out.isatty()
        self._title, self._total, self._done, self._drawn = "", 0, 0, 0.0
        self._started = 0.0

    def begin(self, title: str, total: int) -> None:
        self._title, self._total, self._done, self._drawn = title, total, 0, 0.0
        self._started = time.monotonic()

    def advance(self) -> None:
        self._done += 1
        if self._terminal and time.monotonic() - self._drawn > 0.1:
            self._write(f"\r{self._line()}\x1b[K")
            self._drawn = time.monotonic()

    def end(self) -> None:
        self._write(f"\r{self._line()}\x1b[K\n" if self._terminal else f"{self._line()}\n")

    def _line(self) -> str:
        seconds = time.monotonic() - self._started
        counted = f"{self._done:>6}/{self._total}  {seconds:6.1f} s"
        if not self._terminal:
            return f"{self._title:<22}{counted}"
        filled = BAR_WIDTH * self._done // self._total if self._total else BAR_WIDTH
        return f"{self._title:<22}[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]{counted}"

    def _write(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text)
            self._out.flush()


def as_json(summary: Summary) -> str:
    return json.dumps(
        {**asdict(summary), "succeeded": summary.succeeded}, ensure_ascii=False, indent=2
    )


def as_text(summary: Summary) -> str:
    """The summary as text, with the first few errors."""
    counted = ("created", "matched", "updated", "disabled", "restored", "deleted", "failed")
    lines = ["", *(f"  {name:<10}{getattr(summary, name):>8,}" for name in counted)]
    lines.append(
        f"  {'verified':<10}{summary.verified:>8,}  of {summary.people:,} people, read back"
    )
    lines.append("")
    lines.append(
        f"  {summary.requests:,} requests in {summary.seconds:.1f} s: "
        f"{summary.requests_per_second:,.0f}/s, p50 {summary.p50_ms:.1f} ms, "
        f"p99 {summary.p99_ms:.1f} ms, {summary.retried} retried"
    )
    if summary.reasons:
        lines += ["", "  First errors:"]
        lines += [f"  - {reason}" for reason in summary.reasons[:REASONS_SHOWN]]
    if summary.failed > REASONS_SHOWN:
        lines.append(f"  - and {summary.failed - REASONS_SHOWN} more")
    if summary.stopped:
        lines += ["", f"  Stopped: {summary.stopped}"]
    return "\n".join(lines)


def terminal_progress() -> Progress:
    """Progress on stderr, so that stdout has only the summary."""
    return Progress(sys.stderr)


def _percentile_ms(in_order: list[float], percent: int) -> float:
    if not in_order:
        return 0.0
    return round(in_order[min(len(in_order) - 1, len(in_order) * percent // 100)] * 1000, 2)
