"""Deprecated metrics have the values of their replacements."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from chassis.observability.deprecated_metrics import DEPRECATED
from chassis.observability.metrics import Metrics

OPERATIONS = Path(__file__).parents[4] / "docs/operations.md"
HTTP_LABELS = ("http_request_method", "http_route", "http_response_status_code", "error_type")


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by their metric name and label values; the label values are sorted by label name."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def http_requests(*ended: tuple[str, str, str, str]) -> dict[tuple[str, ...], float]:
    metrics = Metrics()
    requests = metrics.requests(
        "http_server_request_duration_seconds",
        "http_server_active_requests",
        "requests",
        *HTTP_LABELS,
    )
    for values in ended:
        requests.end(requests.begin(), *values)
    requests.begin()
    return samples(metrics)


def test_deprecated_counter_has_one_outcome_for_status_and_error_type():
    found = http_requests(
        ("GET", "/Users", "200", ""),
        ("GET", "/Users", "503", "503"),
        ("GET", "/Users", "200", "aborted"),
        ("_OTHER", "", "404", ""),
    )
    ended = {
        key[1:]: value for key, value in found.items() if key[0] == "http_requests_ended_total"
    }
    assert ended == {
        ("GET", "200", "/Users"): 1,
        ("GET", "503", "/Users"): 1,
        ("GET", "broken off", "/Users"): 1,
        ("other", "404", "other"): 1,
    }


def test_deprecated_histogram_adds_up_all_statuses_of_a_route():
    found = http_requests(*[("GET", "/Users", status, "") for status in ("200", "200", "404")])
    assert found["http_requests_seconds_count", "GET", "/Users"] == 3
    assert found["http_requests_seconds_bucket", "+Inf", "GET", "/Users"] == 3
    assert found["http_requests_seconds_sum", "GET", "/Users"] > 0


def test_deprecated_gauge_has_the_value_of_its_replacement():
    found = http_requests()
    assert found["http_requests_running",] == found["http_server_active_requests",] == 1


def test_deprecated_counter_selects_one_value_of_a_label():
    metrics = Metrics()
    metrics.counters("key_cache_lookups", "Lookups.", "result", lambda: {"hit": 5, "miss": 2})
    found = samples(metrics)
    assert (found["key_cache_hits_total",], found["key_cache_misses_total",]) == (5, 2)


def test_deprecated_gauge_without_selection_adds_up_all_label_values():
    metrics = Metrics()
    label = "db_client_connection_state"
    metrics.gauges("db_client_connection_count", "All.", label, lambda: {"idle": 3, "used": 2})
    found = samples(metrics)
    assert found["database_connections",] == 5
    assert found["database_connections_in_use",] == 2


def test_help_text_of_a_deprecated_metric_names_its_replacement():
    metrics = Metrics()
    metrics.counter("compute_worker_tasks", "Tasks.", lambda: 1)
    expected = b"# HELP worker_computations_total Deprecated: use compute_worker_tasks_total.\n"
    assert expected in metrics.text()


def test_scrape_reads_each_value_once():
    """Deprecated names need no second reading of a value."""
    metrics, reads = Metrics(), []
    metrics.gauge("db_client_connection_max", "Limit.", lambda: reads.append(1) or 8.0)
    metrics.text()
    assert len(reads) == 1


def test_operations_document_lists_every_deprecated_metric():
    section = OPERATIONS.read_text().partition("### Deprecated metric names\n")[2]
    section = section.partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)", section, re.MULTILINE)
    assert rows == [(metric.series, metric.replacement_series) for metric in DEPRECATED]
