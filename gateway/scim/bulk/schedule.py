"""The order of the steps of a bulk request: which ones may run at the same time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from gateway.scim.bulk.accesses import EXCLUSIVE, Accesses, Mode, accesses
from gateway.scim.bulk.plan import Run, Step
from gateway.scim.bulk.request import BulkRequest


@dataclass(eq=False, slots=True)
class _Phase:
    """Steps that may access a subject at the same time, in one mode.

    They wait until all steps of the subject's previous phase are finished.
    """

    mode: Mode
    may_run: bool
    steps: list[int] = field(default_factory=list)
    unfinished: int = 0
    next_phase: "_Phase | None" = None


class Schedule:
    """Selects the steps that may start: those whose earlier conflicting steps are all finished.

    Steps are numbered from 0. A step is in one phase for each subject that it accesses, and may
    start once all these phases may run.
    """

    def __init__(self, steps: Iterable[Accesses]) -> None:
        self._phases: list[list[_Phase]] = []
        self._pending: list[int] = []
        """For each step, how many of its phases may not run yet."""
        self._ready: list[int] = []
        latest: dict[str, _Phase] = {}
        for step, each in enumerate(steps):
            phases = [_join(latest, subject, mode, step) for subject, mode in each.items()]
            self._phases.append(phases)
            self._pending.append(sum(not phase.may_run for phase in phases))
            if not self._pending[step]:
                heappush(self._ready, step)

    @property
    def has_ready(self) -> bool:
        """Whether a step can be started."""
        return bool(self._ready)

    def start(self) -> int:
        """Remove and return the first step that is ready."""
        return heappop(self._ready)

    def finish(self, step: int) -> None:
        """Record that a started step is finished. Later steps may become ready."""
        for phase in self._phases[step]:
            phase.unfinished -= 1
            if not phase.unfinished and phase.next_phase is not None:
                self._allow(phase.next_phase)

    def _allow(self, phase: _Phase) -> None:
        phase.may_run = True
        for step in phase.steps:
            self._pending[step] -= 1
            if not self._pending[step]:
                heappush(self._ready, step)


def _join(latest: dict[str, _Phase], subject: str, mode: Mode, step: int) -> _Phase:
    """Add a step to the latest phase of a subject, or to a new phase if it conflicts with that."""
    phase = latest.get(subject)
    if phase is None or phase.mode is not mode or mode is Mode.EXCLUSIVE:
        next_phase = _Phase(mode, may_run=phase is None)
        if phase is not None:
            phase.next_phase = next_phase
        latest[subject] = phase = next_phase
    phase.steps.append(step)
    phase.unfinished += 1
    return phase


def schedule(request: BulkRequest, steps: Sequence[Step], bodies: Sequence[bytes]) -> Schedule:
    """The schedule of a plan. `bodies` are the data of the operations as JSON.

    Steps run one after another in two cases. If failures are counted, the order decides which
    operation is the last one. If references form a cycle, a failure undoes other operations.
    """
    operations = request.operations
    if request.fail_on_errors is not None or not all(isinstance(each, Run) for each in steps):
        return Schedule([EXCLUSIVE] * len(steps))
    return Schedule([accesses(operations[each.index], bodies[each.index]) for each in steps])
