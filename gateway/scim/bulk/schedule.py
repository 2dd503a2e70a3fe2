"""Which steps of a bulk request may run at the same time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from gateway.scim.bulk.accesses import EXCLUSIVE, Accesses, Mode, accesses
from gateway.scim.bulk.plan import Run, Step
from gateway.scim.bulk.request import BulkRequest


@dataclass(eq=False, slots=True)
class _Turn:
    """Steps that access a subject at the same time, after all steps of the previous turn."""

    mode: Mode
    has_begun: bool
    steps: list[int] = field(default_factory=list)
    unfinished: int = 0
    following: "_Turn | None" = None


class Schedule:
    """Numbers the steps from 0; a step is ready once all earlier conflicting steps are finished."""

    def __init__(self, steps: Iterable[Accesses]) -> None:
        self._turns: list[list[_Turn]] = []
        self._missing: list[int] = []
        """For each step, how many of its turns have not begun."""
        self._ready: list[int] = []
        latest: dict[str, _Turn] = {}
        for step, each in enumerate(steps):
            turns = [_join(latest, subject, mode, step) for subject, mode in each.items()]
            self._turns.append(turns)
            self._missing.append(sum(not turn.has_begun for turn in turns))
            if not self._missing[step]:
                heappush(self._ready, step)

    @property
    def has_ready(self) -> bool:
        """Whether a step can be started."""
        return bool(self._ready)

    def start(self) -> int:
        """Take the first step that is ready."""
        return heappop(self._ready)

    def finish(self, step: int) -> None:
        """Note that a started step is finished, which may make others ready."""
        for turn in self._turns[step]:
            turn.unfinished -= 1
            if not turn.unfinished and turn.following is not None:
                self._begin(turn.following)

    def _begin(self, turn: _Turn) -> None:
        turn.has_begun = True
        for step in turn.steps:
            self._missing[step] -= 1
            if not self._missing[step]:
                heappush(self._ready, step)


def _join(latest: dict[str, _Turn], subject: str, mode: Mode, step: int) -> _Turn:
    """Add a step to the latest turn of a subject, or to a new one if it conflicts with that."""
    turn = latest.get(subject)
    if turn is None or turn.mode is not mode or mode is Mode.EXCLUSIVE:
        following = _Turn(mode, has_begun=turn is None)
        if turn is not None:
            turn.following = following
        latest[subject] = turn = following
    turn.steps.append(step)
    turn.unfinished += 1
    return turn


def schedule(request: BulkRequest, steps: Sequence[Step], bodies: Sequence[bytes]) -> Schedule:
    """The schedule of a plan; `bodies` are the data of the operations as JSON.

    Steps run one after another if failures are counted, because the order decides which operation
    is the last one, or if references form a cycle, because a failure then undoes other operations.
    """
    operations = request.operations
    if request.fail_on_errors is not None or not all(isinstance(each, Run) for each in steps):
        return Schedule([EXCLUSIVE] * len(steps))
    return Schedule([accesses(operations[each.index], bodies[each.index]) for each in steps])
