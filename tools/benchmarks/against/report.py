"""The tables, the conclusion and the result file of a comparison."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tools.benchmarks.against.estimate import Estimate, estimate
from tools.benchmarks.against.rounds import CostPart, Round, log_ratios, median_costs
from tools.benchmarks.against.verdict import Verdict, verdict

SERVICES = "gateway, usersvc and keysvc"
POSTGRES = "PostgreSQL (not compared with the limit)"
PARTS: Mapping[str, CostPart] = {
    SERVICES: lambda cost: cost.services,
    POSTGRES: lambda cost: cost.postgres,
}


@dataclass(frozen=True, slots=True)
class Row:
    """An operation's cost on both sides, in microseconds of CPU time per request, and the ratio."""

    operation: str
    base: float
    head: float
    estimate: Estimate


def rows(rounds: Sequence[Round], operations: Sequence[str], part: CostPart) -> list[Row]:
    """One row per measured operation."""
    measured = {each.operation for each in rounds}
    return [
        Row(
            operation,
            *median_costs(rounds, operation, part),
            estimate(log_ratios(rounds, operation, part)),
        )
        for operation in operations
        if operation in measured
    ]


def table(title: str, lines: Sequence[Row], limit: float, half_width: float) -> str:
    """The rows as a table with a title."""
    head = (
        f"{title}\n{'operation':<14} {'before µs':>10} {'after µs':>10} {'ratio':>7}"
        f" {'95 % interval':>18} {'sessions':>9}"
    )
    return "\n".join([head, *(_line(row, title, limit, half_width) for row in lines)])


def _line(row: Row, title: str, limit: float, half_width: float) -> str:
    estimated = row.estimate
    text = (
        f"{row.operation:<14} {row.base:>10.1f} {row.head:>10.1f} {estimated.ratio:>7.3f}"
        f" {f'{estimated.low:.3f} to {estimated.high:.3f}':>18} {estimated.observations:>9}"
    )
    return f"{text}  {verdict(estimated, limit, half_width)}" if title == SERVICES else text


def conclusion(lines: Sequence[Row], limit: float, half_width: float) -> tuple[int, list[str]]:
    """The exit code, and sentences with its reason.

    1 when an operation is above the limit, 2 when none is and one is undecided, else 0.
    """
    by_verdict: dict[Verdict, list[str]] = {each: [] for each in Verdict}
    for row in lines:
        by_verdict[verdict(row.estimate, limit, half_width)].append(row.operation)
    wide = [row.operation for row in lines if row.estimate.half_width > half_width]
    sentences = []
    if wide:
        sentences.append(
            f"Not measured to ± {half_width:.1%}: {', '.join(wide)}. Set a larger MINUTES= or use"
            " a less busy machine."
        )
    if by_verdict[Verdict.UNDECIDED]:
        undecided = ", ".join(by_verdict[Verdict.UNDECIDED])
        sentences.append(f"Undecided: a ratio above {limit} cannot be ruled out for {undecided}.")
    if by_verdict[Verdict.ABOVE]:
        sentences.append(
            f"Too expensive: the ratio is above {limit} for {', '.join(by_verdict[Verdict.ABOVE])}."
        )
        return 1, sentences
    if by_verdict[Verdict.UNDECIDED]:
        return 2, sentences
    return 0, [*sentences, f"No operation's cost ratio is shown to be above {limit}."]


def write(file: Path, names: Mapping[str, str], rounds: Sequence[Round]) -> None:
    """Write every round and the names of the trees to a JSON file."""
    result = {"trees": dict(names), "rounds": [asdict(each) for each in rounds]}
    file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")


def progress(minutes: float, lines: Sequence[Row]) -> str:
    """A progress line: minutes so far and the precision of each operation."""
    ratios = ", ".join(f"{row.operation} {_precision(row.estimate)}" for row in lines)
    return f"{minutes:5.1f} min: {ratios}"


def _precision(estimated: Estimate) -> str:
    if math.isinf(estimated.half_width):
        return f"{estimated.ratio:.3f}"
    return f"{estimated.ratio:.3f} ± {estimated.half_width:.1%}"
