"""The order in which the operations of a bulk request run (RFC 7644 section 3.7.1).

Operations run in the order of the request, except that a POST runs before the operations that
refer to its resource. If references form a cycle, a resource is first created without the members
that refer to later resources, and completed when these exist.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.scim.bulk.references import members_referring_to
from gateway.scim.bulk.request import Operation


@dataclass(frozen=True, slots=True)
class Run:
    """Execute an operation, without the members of its data that `without` names."""

    index: int
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Complete:
    """Add the members without which a resource was created."""

    index: int
    members: frozenset[str]


Step = Run | Complete


def plan(operations: Sequence[Operation]) -> tuple[Step, ...]:
    """The steps that execute all operations; each operation has exactly one Run."""
    return _Planner(operations).plan()


class Referrers:
    """Finds the operations that refer to others, directly or indirectly."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._direct: dict[str, list[int]] = {}
        for index, each in enumerate(operations):
            for name in each.references:
                self._direct.setdefault(name, []).append(index)

    def closure(self, starts: Iterable[int], known: Container[int]) -> set[int]:
        """The operations `starts` and all that refer to them, directly or indirectly.

        The search does not pass through operations in `known`. If a cycle cannot be completed, the
        operations of the result that have run are creations, which can be undone: the plan runs
        all other operations later.
        """
        found: set[int] = set()
        pending = list(starts)
        while pending:
            index = pending.pop()
            if index not in found and index not in known:
                found.add(index)
                pending += self._direct.get(self._operations[index].creates or "", ())
        return found


@dataclass(slots=True)
class _Visit:
    """An operation to run, and the operations that must run before it."""

    index: int
    needs: Iterator[int]
    waits_for: set[int] = field(default_factory=set)


class _Planner:
    """Walks the references depth first, with an explicit stack because a chain may be long."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._creators = {
            each.creates: index
            for index, each in enumerate(operations)
            if each.creates is not None and each.refusal is None
        }
        self._steps: list[Step] = []
        self._done: set[int] = set()
        self._open: set[int] = set()
        self._incomplete: dict[int, tuple[set[int], frozenset[str]]] = {}
        self._awaiting: dict[int, list[int]] = {}
        """Operation that has not run → the incomplete operations that wait for it, in order."""

    def plan(self) -> tuple[Step, ...]:
        for index in range(len(self._operations)):
            if index not in self._done:
                self._walk(index)
        return tuple(self._steps)

    def _walk(self, start: int) -> None:
        stack = [self._visit(start)]
        while stack:
            visit = stack[-1]
            needed = next(visit.needs, None)
            if needed is None:
                stack.pop()
                self._run(visit)
            elif needed in self._open:
                visit.waits_for.add(needed)
            elif needed not in self._done:
                stack.append(self._visit(needed))

    def _visit(self, index: int) -> _Visit:
        self._open.add(index)
        names = sorted(self._operations[index].references)
        return _Visit(index, iter([self._creators[n] for n in names if n in self._creators]))

    def _run(self, visit: _Visit) -> None:
        index, operation = visit.index, self._operations[visit.index]
        without: frozenset[str] = frozenset()
        if visit.waits_for and operation.data is not None:
            missing = frozenset(self._operations[each].creates or "" for each in visit.waits_for)
            without = members_referring_to(operation.data, missing)
            self._incomplete[index] = (visit.waits_for, without)
            for each in visit.waits_for:
                self._awaiting.setdefault(each, []).append(index)
        self._steps.append(Run(index, without))
        self._open.discard(index)
        self._done.add(index)
        self._complete(index)

    def _complete(self, done: int) -> None:
        """Complete the resources for which this was the last missing operation."""
        for index in self._awaiting.pop(done, ()):
            waits_for, members = self._incomplete[index]
            waits_for.discard(done)
            if not waits_for:
                del self._incomplete[index]
                self._steps.append(Complete(index, members))
