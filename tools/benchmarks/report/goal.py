"""A performance goal."""

from dataclasses import dataclass

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    """A goal, the measured value, and whether it is met; None: not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None
