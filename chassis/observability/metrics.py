"""Metrics of a process in Prometheus's text format.

The metrics of requests, calls and database connections have the names of OpenTelemetry's semantic
conventions, with `_` for `.`, the unit as a suffix, and `_total` for counters. Label values are
methods, routes, statuses and other words from the code; never ids or personal data.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
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
        """The response to a scrape: all metrics, with their deprecated names as well."""
        return generate_latest(_Scrape(self.registry))

    def observe_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Publish the number of asyncio tasks of an event loop.

        A finished task stays in memory while something refers to it, such as a stored exception
        whose traceback holds its frame. Many of them mean a leak, so they have their own metric.
        """
        self.gauge("asyncio_tasks", "Unfinished asyncio tasks.", lambda: _unfinished_tasks(loop))
        self.gauge(
            "asyncio_tasks_retained",
            "Finished asyncio tasks that are still in memory.",
            lambda: max(0, _tasks_in_memory() - _unfinished_tasks(loop)),
        )

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Publish a value that is read at each scrape."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def counter(self, name: str, description: str, read: Callable[[], int]) -> None:
        """Publish a counter that is kept elsewhere and read at each scrape."""
        self.registry.register(_Counter(name, description, read))

    def counters(
        self, name: str, description: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Publish counters that are kept elsewhere, one for each value of a label."""
        self.registry.register(_Labelled(CounterMetricFamily, name, description, label, read))

    def gauges(
        self, name: str, description: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Publish values that are read at each scrape, one for each value of a label."""
        self.registry.register(_Labelled(GaugeMetricFamily, name, description, label, read))

    def info(self, name: str, description: str, labels: Mapping[str, str]) -> None:
        """Publish constant texts as the labels of `NAME_info`, whose value is 1."""
        Info(name, description, registry=self.registry).info(dict(labels))

    def infos(self, name: str, description: str, rows: Sequence[Mapping[str, str]]) -> None:
        """Publish constant texts as the labels of `NAME_info`, one series for each row."""
        self.registry.register(_Rows(name, description, rows))

    def requests(
        self, duration: str, active: str, description: str, *labels: str
    ) -> "RequestMetrics":
        """Publish a histogram of durations with labels, and a gauge of active requests."""
        return RequestMetrics(self.registry, duration, active, description, labels)


def _unfinished_tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))  # safe in another thread: it copies the set first


def _tasks_in_memory() -> int:
    """The number of task objects in memory, finished or not.

    Python has no public API for this number. If a Python version lacks the private set, the result
    is 0, and no tasks count as retained.
    """
    return len(getattr(asyncio.tasks, "_all_tasks", ()))


class _Scrape(Collector):
    """All metrics of a registry, each read once, and their deprecated names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        families = list(self._registry.collect())
        yield from families
        yield from deprecated(families)


class _Counter(Collector):
    def __init__(self, name: str, description: str, read: Callable[[], int]) -> None:
        self._name = name
        self._description = description
        self._read = read

    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._description, value=self._read())


class _Labelled(Collector):
    def __init__(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        description: str,
        label: str,
        read: Callable[[], Mapping[str, float]],
    ) -> None:
        self._family = family
        self._name = name
        self._description = description
        self._label = label
        self._read = read

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        family = self._family(self._name, self._description, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family


class _Rows(Collector):
    def __init__(self, name: str, description: str, rows: Sequence[Mapping[str, str]]) -> None:
        self._name = name
        self._description = description
        self._rows = rows

    def collect(self) -> Iterable[InfoMetricFamily]:
        names = sorted({name for row in self._rows for name in row})
        family = InfoMetricFamily(self._name, self._description, labels=names)
        for row in self._rows:
            family.add_metric([row.get(name, "") for name in names], {})
        yield family


class RequestMetrics:
    """The metrics of one kind of requests: their duration, and how many are active.

    The histogram counts the requests as well, so each request needs only one observation.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        duration: str,
        active: str,
        description: str,
        labels: tuple[str, ...],
    ) -> None:
        self._durations = Histogram(
            duration, f"Duration of {description}.", labels, registry=registry, buckets=SECONDS
        )
        self._active = 0
        Gauge(active, f"Number of active {description}.", registry=registry).set_function(
            lambda: self._active
        )
        # Caches the few children, because `labels()` validates and locks at each call.
        self._children: dict[tuple[str, ...], Histogram] = {}

    def begin(self) -> float:
        """Count a request as active. Returns its start time, for `end`."""
        self._active += 1
        return time.perf_counter()

    def end_unmeasured(self) -> None:
        """Count the end of a request without an observation of its duration."""
        self._active -= 1

    def end(self, start_time: float, *values: str) -> None:
        """Count the end of a request and observe its duration, with the values of the labels."""
        self.end_unmeasured()
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._durations.labels(*values)
        child.observe(time.perf_counter() - start_time)
