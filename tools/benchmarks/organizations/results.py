"""The results of a measurement, with their goals, and how they are printed."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same operation on two subjects, in turns."""

    topic: str
    what: str
    subject: str
    reference: str
    rate: float
    """Correct operations per second of the subject."""
    reference_rate: float
    cpu: float
    """CPU microseconds per operation, of all processes and the database."""
    reference_cpu: float
    ratio: float
    """The median of the rounds' ratios of the rates."""
    least: float | None
    """The goal of the ratio, if there is one."""
    wrong: int
    first_wrong: str

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        return None if self.least is None else self.ratio >= self.least


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value."""

    topic: str
    what: str
    value: float
    unit: str
    most: float | None = None
    """The goal, if there is one."""
    note: str = ""
    wrong: int = 0
    first_wrong: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        return None if self.most is None else self.value <= self.most


Result = Comparison | Reading


@dataclass
class Results:
    """All results, in the order of measuring."""

    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def add(self, result: Result) -> None:
        if isinstance(result, Comparison):
            self.comparisons.append(result)
        else:
            self.readings.append(result)

    @property
    def wrong(self) -> int:
        """The number of wrong responses."""
        return sum(each.wrong for each in (*self.comparisons, *self.readings))

    def as_json(self) -> dict[str, object]:
        return {
            "comparisons": [{**asdict(each), "met": each.met} for each in self.comparisons],
            "readings": [{**asdict(each), "met": each.met} for each in self.readings],
            "wrong": self.wrong,
        }


def line(result: Result) -> str:
    """A result as a line of text."""
    verdict = {True: "met", False: "NOT MET", None: ""}[result.met]
    wrong = f"  {result.wrong} wrong: {result.first_wrong}" if result.wrong else ""
    if isinstance(result, Reading):
        goal = "" if result.most is None else f"≤ {result.most:g}"
        return (
            f"{result.topic:<22} {result.what:<44} {_number(result.value):>10} {result.unit:<10}"
            f" {result.note:<36} {goal:>8}  {verdict}{wrong}"
        )
    goal = "" if result.least is None else f"≥ {result.least:g}"
    return (
        f"{result.topic:<22} {result.what:<28} {result.subject:>22}"
        f" {result.rate:>7,.0f}/s {result.cpu:>7,.0f} µs  {result.reference:>22}"
        f" {result.reference_rate:>7,.0f}/s {result.reference_cpu:>7,.0f} µs"
        f"  {result.ratio:>5.2f} {goal:>6}  {verdict}{wrong}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
