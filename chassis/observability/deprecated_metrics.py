"""Deprecated metric names, kept for one release in which dashboards and alerts can change.

Each deprecated metric is derived from its replacement at a scrape: requests update only the
replacement. To remove the deprecated names, delete this module and its use in `metrics.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

Labels: TypeAlias = Mapping[str, str]
Read: TypeAlias = Callable[[Labels], str]
"""Reads the value of a deprecated label from the labels of the replacement."""

_NONE: Final[Mapping[str, Read]] = MappingProxyType({})
_GAUGE: Final = MappingProxyType({"": ""})
_COUNTER: Final = MappingProxyType({"_total": "_total"})
_HISTOGRAM: Final = MappingProxyType({name: name for name in ("_bucket", "_count", "_sum")})
_HISTOGRAM_COUNT: Final = MappingProxyType({"_count": "_total"})


@dataclass(frozen=True, slots=True)
class Deprecated:
    """One deprecated metric, and how its samples are derived from those of its replacement.

    Samples of the replacement with the same values of all `labels` are added up.
    """

    name: str
    replacement: str
    kind: str
    suffixes: Mapping[str, str]
    """Suffix of the replacement's samples → suffix of the deprecated samples."""
    labels: Mapping[str, Read] = field(default_factory=lambda: _NONE)
    selects: Callable[[Labels], bool] = lambda _: True

    @property
    def series(self) -> str:
        """The deprecated name in queries."""
        return self.name + ("_total" if self.kind == "counter" else "")

    @property
    def replacement_series(self) -> str:
        """The name of the replacement in queries."""
        return self.replacement + ("_total" if "_total" in self.suffixes else "")

    def derive(self, replacement: Metric) -> Metric:
        """The deprecated metric with the replacement's values."""
        metric = Metric(self.name, f"Deprecated: use {self.replacement_series}.", self.kind)
        sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for sample in replacement.samples:
            suffix = self.suffixes.get(sample.name.removeprefix(replacement.name))
            if suffix is not None and self.selects(sample.labels):
                key = (self.name + suffix, tuple(self._labels(sample)))
                sums[key] = sums.get(key, 0.0) + sample.value
        for (name, labels), value in sums.items():
            metric.add_sample(name, dict(labels), value)
        return metric

    def _labels(self, sample: Sample) -> Iterator[tuple[str, str]]:
        for name, read in self.labels.items():
            yield name, read(sample.labels)
        if "le" in sample.labels:  # the upper bound of a bucket
            yield "le", sample.labels["le"]


def deprecated(families: Iterable[Metric]) -> Iterator[Metric]:
    """The deprecated metrics whose replacements are among the families."""
    by_name = {family.name: family for family in families}
    for each in DEPRECATED:
        if each.replacement in by_name:
            yield each.derive(by_name[each.replacement])


def _gauge(name: str, replacement: str, **selects: str) -> Deprecated:
    return Deprecated(name, replacement, "gauge", _GAUGE, selects=_has_labels(selects))


def _counter(name: str, replacement: str, **selects: str) -> Deprecated:
    return Deprecated(name, replacement, "counter", _COUNTER, selects=_has_labels(selects))


def _has_labels(expected: Labels) -> Callable[[Labels], bool]:
    return lambda labels: all(labels[name] == value for name, value in expected.items())


def _http_outcome(labels: Labels) -> str:
    if labels["error_type"] == "aborted":
        return "broken off"
    return labels["http_response_status_code"]


def _http_method(labels: Labels) -> str:
    method = labels["http_request_method"]
    return "other" if method == "_OTHER" else method


_HTTP: Final = "http_server_request_duration_seconds"
_RPC: Final = "rpc_server_call_duration_seconds"
_CONNECTIONS_REJECTED: Final = "http_server_connections_rejected"
_CONNECTIONS_ABORTED: Final = "http_server_connections_aborted"
_REJECTED: Final = "http_server_requests_rejected"
_HTTP_LABELS: Final = MappingProxyType(
    {"route": lambda labels: labels["http_route"] or "other", "method": _http_method}
)
_RPC_LABELS: Final = MappingProxyType({"method": lambda labels: "/" + labels["rpc_method"]})

DEPRECATED: Final = (
    Deprecated(
        "http_requests_ended",
        _HTTP,
        "counter",
        _HISTOGRAM_COUNT,
        {**_HTTP_LABELS, "outcome": _http_outcome},
    ),
    Deprecated("http_requests_seconds", _HTTP, "histogram", _HISTOGRAM, _HTTP_LABELS),
    _gauge("http_requests_running", "http_server_active_requests"),
    Deprecated(
        "grpc_server_calls_ended",
        _RPC,
        "counter",
        _HISTOGRAM_COUNT,
        {
            **_RPC_LABELS,
            "outcome": lambda labels: labels["error_type"] or labels["rpc_response_status_code"],
        },
    ),
    Deprecated("grpc_server_calls_seconds", _RPC, "histogram", _HISTOGRAM, _RPC_LABELS),
    _gauge("grpc_server_calls_running", "rpc_server_active_calls"),
    _gauge("database_connections", "db_client_connection_count"),
    _gauge(
        "database_connections_in_use",
        "db_client_connection_count",
        db_client_connection_state="used",
    ),
    _gauge("database_connections_max", "db_client_connection_max"),
    _counter("requests_shed", _REJECTED, reason="no_slot"),
    _counter("requests_limited", _REJECTED, reason="rate_limit"),
    _counter("responses_shed", _REJECTED, reason="no_response_memory"),
    _counter("keys_limited", _REJECTED, reason="failed_auth_limit"),
    _counter("pages_shed", _REJECTED, reason="no_page_slot"),
    _counter("files_shed", _REJECTED, reason="no_export_slot"),
    _counter("forms_shed", _REJECTED, reason="no_form_memory"),
    _counter("pages_limited", _REJECTED, reason="page_rate_limit"),
    _gauge("requests_in_place", "admission_control_slots_in_use"),
    _gauge("requests_waiting", "admission_control_queue_depth"),
    _counter("worker_computations", "compute_worker_tasks"),
    _gauge("worker_waiting", "compute_worker_queue_depth"),
    _gauge("http_connections", "http_server_open_connections"),
    _counter("http_connections_refused", _CONNECTIONS_REJECTED, reason="total_limit"),
    _counter("http_connections_limited", _CONNECTIONS_REJECTED, reason="address_limit"),
    _counter("http_connections_displaced", _CONNECTIONS_ABORTED, reason="displaced"),
    _counter("http_connections_cut", _CONNECTIONS_ABORTED, reason="slow_client"),
    _gauge("request_head_bytes", "http_server_buffered_header_bytes"),
    _counter("request_heads_refused", "http_server_headers_rejected"),
    _gauge("request_body_bytes", "http_server_buffered_body_bytes"),
    _gauge("response_bytes_reserved", "http_server_reserved_response_bytes"),
    _counter("key_cache_hits", "key_cache_lookups", result="hit"),
    _counter("key_cache_misses", "key_cache_lookups", result="miss"),
    _counter("refusals_dropped", "provisioning_log_entries_dropped"),
    _gauge("change_feed_following", "change_feed_connected"),
    _gauge("key_watches", "key_watch_streams"),
)
"""Every deprecated metric."""
