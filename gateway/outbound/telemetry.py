"""The metrics of outgoing traffic.

Names and labels follow OpenTelemetry's conventions for HTTP clients and DNS lookups. Their labels
for hosts and names are left out, because customers choose those.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from chassis.observability.metrics import Metrics
from gateway.outbound.errors import OutboundError

SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Purpose(StrEnum):
    """What an outgoing HTTPS request is for; a label of its metric."""

    ISSUER_KEYS = "issuer_keys"
    METADATA = "metadata"
    WEBHOOK = "webhook"


@dataclass(slots=True)
class Outcome:
    """The result of one request, as labels."""

    status: str = ""
    """The HTTP status of the response, if there was one."""
    error: str = ""
    """Why there was no usable response, or the status of an error response."""


class OutboundMetrics:
    """Measures requests, lookups and connections; published once `observe` was called."""

    def __init__(self) -> None:
        registry = CollectorRegistry()  # separate: requests may be measured without `observe`
        self._requests = Histogram(
            "http_client_request_duration_seconds",
            "Duration of outgoing HTTPS requests.",
            ("http_request_method", "http_response_status_code", "error_type", "purpose"),
            registry=registry,
            buckets=SECONDS,
        )
        self._lookups = Histogram(
            "dns_lookup_duration_seconds",
            "Duration of DNS lookups.",
            ("error_type",),
            registry=registry,
            buckets=SECONDS,
        )
        self._mail_connections = Histogram(
            "smtp_client_connection_duration_seconds",
            "Duration until an SMTP connection is established, TLS included.",
            ("error_type",),
            registry=registry,
            buckets=SECONDS,
        )
        self._collectors = (self._requests, self._lookups, self._mail_connections)

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        for collector in self._collectors:
            metrics.registry.register(collector)

    @contextmanager
    def request(self, method: str, purpose: Purpose) -> Iterator[Outcome]:
        """Measure an HTTPS request. The block sets the status of the outcome."""
        with _timed(
            lambda outcome: self._requests.labels(method, outcome.status, outcome.error, purpose)
        ) as outcome:
            yield outcome

    @contextmanager
    def lookup(self) -> Iterator[None]:
        """Measure a DNS lookup."""
        with _timed(lambda outcome: self._lookups.labels(outcome.error)):
            yield

    @contextmanager
    def mail_connection(self) -> Iterator[None]:
        """Measure the set-up of an SMTP connection."""
        with _timed(lambda outcome: self._mail_connections.labels(outcome.error)):
            yield


@contextmanager
def _timed(histogram_of: Callable[[Outcome], Histogram]) -> Iterator[Outcome]:
    outcome = Outcome()
    start = time.perf_counter()
    try:
        yield outcome
    except OutboundError as error:
        outcome.error = error.reason
        raise
    except asyncio.CancelledError:
        outcome.error = "cancelled"
        raise
    finally:
        histogram_of(outcome).observe(time.perf_counter() - start)
