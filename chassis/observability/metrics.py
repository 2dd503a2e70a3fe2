"""Metrics of a process in Prometheus's text format.

Requests, calls and database connections have the names of OpenTelemetry's semantic conventions,
with `_` for `.`, the unit as a suffix, and `_total` on counters. Label values are methods, routes,
statuses and other words from the code: never an id or personal data.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from chassis.observability.deprecated_metrics import deprecated

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """The response to a scrape: all metrics, and those with deprecated names."""
        return generate_latest(_Scrape(self.registry))

    def observe_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report how many asyncio tasks a loop has, from any thread.

        Tasks that have ended stay in memory while something refers to them, such as a stored
        exception whose traceback holds their frames. They are a leak, so they have a metric of
        their own.
        """
        self.gauge("asyncio_tasks", "Unfinished asyncio tasks.", lambda: _unfinished(loop))
        self.gauge(
            "asyncio_tasks_retained",
            "Finished asyncio tasks that are still in memory.",
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

    def requests(self, duration: str, active: str, what: str, *labels: str) -> "Requests":
        """A histogram of durations with the given labels, and a gauge of those under way."""
        return Requests(self.registry, duration, active, what, labels)


def _unfinished(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))  # copies the set first, again if it changed meanwhile


def _in_memory() -> int:
    """How many task objects there are, ended or not; there is no public way to ask.

    It is 0, so that none count as retained, in a Python that keeps no such set.
    """
    return len(getattr(asyncio.tasks, "_all_tasks", ()))


class _Scrape(Collector):
    """All metrics of a registry, read once, and those with deprecated names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        families = list(self._registry.collect())
        yield from families
        yield from deprecated(families)


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
    """Requests of one kind: how many, how long they took, and how many are under way.

    The histogram counts them, too, so that one observation for each request is enough.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        duration: str,
        active: str,
        what: str,
        labels: tuple[str, ...],
    ) -> None:
        self._durations = Histogram(
            duration, f"Duration of {what}.", labels, registry=registry, buckets=SECONDS
        )
        self._active = 0
        Gauge(active, f"Number of active {what}.", registry=registry).set_function(
            lambda: self._active
        )
        # `labels()` checks and locks each time; there are few of these, and they stay.
        self._children: dict[tuple[str, ...], Histogram] = {}

    def begin(self) -> float:
        """Count the beginning of a request; returns the time to pass to `end`."""
        self._active += 1
        return time.perf_counter()

    def leave(self) -> None:
        """Count the end of a request that is not measured."""
        self._active -= 1

    def end(self, began: float, *values: str) -> None:
        """Count and measure the end of a request, with the values of the labels."""
        self.leave()
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._durations.labels(*values)
        child.observe(time.perf_counter() - began)
