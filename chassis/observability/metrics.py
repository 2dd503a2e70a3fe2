"""What a process counts and measures, in Prometheus's form.

No label ever holds an id or anything of a person: methods, outcomes and other
words of our own only.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """All of them, as a scrape reads them."""
        return generate_latest(self.registry)

    def observe_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report how many asyncio tasks a loop has, from any thread.

        Tasks that have ended stay in memory while something refers to them, such as a stored
        exception whose traceback holds their frames. They are a leak, so they have a metric of
        their own.
        """
        self.gauge("asyncio_tasks", "Tasks that have not ended.", lambda: _unfinished(loop))
        self.gauge(
            "asyncio_tasks_retained",
            "Tasks that have ended and are still referred to.",
            lambda: max(0, _in_memory() - _unfinished(loop)),
        )

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """A value that is read when somebody asks."""
        Gauge(name, what, registry=self.registry).set_function(read)

    def count(self, name: str, what: str, read: Callable[[], int]) -> None:
        """A number that only grows and is counted elsewhere."""
        self.registry.register(_Count(name, what, read))

    def counts(
        self, name: str, what: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Numbers that only grow and are counted elsewhere, by the values of a label."""
        self.registry.register(_Labelled(CounterMetricFamily, name, what, label, read))

    def gauges(
        self, name: str, what: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Values that are read when somebody asks, by the values of a label."""
        self.registry.register(_Labelled(GaugeMetricFamily, name, what, label, read))

    def requests(self, name: str, what: str, *labels: str) -> "Requests":
        """A rate, errors and durations, by the given labels and `outcome`."""
        return Requests(self.registry, name, what, labels)


def _unfinished(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))  # copies the set first, again if it changed meanwhile


def _in_memory() -> int:
    """How many task objects there are, ended or not; there is no public way to ask.

    It is 0, so that none count as retained, in a Python that keeps no such set.
    """
    return len(getattr(asyncio.tasks, "_all_tasks", ()))


class _Count(Collector):
    def __init__(self, name: str, what: str, read: Callable[[], int]) -> None:
        self._name = name
        self._what = what
        self._read = read

    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._what, value=self._read())


class _Labelled(Collector):
    def __init__(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        what: str,
        label: str,
        read: Callable[[], Mapping[str, int]],
    ) -> None:
        self._family = family
        self._name = name
        self._what = what
        self._label = label
        self._read = read

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        family = self._family(self._name, self._what, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family


class Requests:
    """Requests of one kind: how many by outcome, how long, how many now."""

    def __init__(
        self, registry: CollectorRegistry, name: str, what: str, labels: tuple[str, ...]
    ) -> None:
        self._ended = Counter(
            f"{name}_ended", f"{what}: ended, by outcome.", (*labels, "outcome"), registry=registry
        )
        self._seconds = Histogram(
            f"{name}_seconds", f"{what}: how long they took.", labels, registry=registry,
            buckets=SECONDS,
        )  # fmt: skip
        self._running = 0
        Gauge(f"{name}_running", f"{what}: running now.", registry=registry).set_function(
            lambda: self._running
        )
        # `labels()` checks and locks each time; there are few of these, and they stay.
        self._counts: dict[tuple[str, ...], Counter] = {}
        self._durations: dict[tuple[str, ...], Histogram] = {}

    def begin(self) -> float:
        """Note that one begins; what is returned is for `end`."""
        self._running += 1
        return time.perf_counter()

    def leave(self) -> None:
        """Note that one ended that is not counted."""
        self._running -= 1

    def end(self, began: float, *values: str) -> None:
        """Note that one ended, with the values of the labels and the outcome."""
        self.leave()
        count = self._counts.get(values)
        if count is None:
            count = self._counts[values] = self._ended.labels(*values)
        count.inc()
        duration = self._durations.get(values[:-1])
        if duration is None:
            duration = self._durations[values[:-1]] = self._seconds.labels(*values[:-1])
        duration.observe(time.perf_counter() - began)
