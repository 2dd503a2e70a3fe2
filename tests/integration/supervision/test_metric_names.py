"""The services still have every metric name of the previous release."""

import re
from pathlib import Path

import pytest

from tests.support.supervision.region import running_region

SERVICE_METRICS = {
    "grpc_server_calls_ended_total",
    "grpc_server_calls_seconds",
    "grpc_server_calls_running",
    "database_connections",
    "database_connections_in_use",
    "database_connections_max",
}
COMMON_METRICS = {
    "asyncio_tasks",
    "asyncio_tasks_retained",
    "background_task_failures_total",
    "background_task_restarts_total",
    "background_task_waiting",
    "process_resident_memory_bytes",
}
PREVIOUS_METRICS = {
    "usersvc": COMMON_METRICS
    | SERVICE_METRICS
    | {"change_feed_lag_seconds", "change_feed_following", "change_feed_streams"},
    "keysvc": COMMON_METRICS | SERVICE_METRICS | {"key_watches", "key_uses_dropped_total"},
    "gateway": COMMON_METRICS
    | {
        "http_requests_ended_total",
        "http_requests_seconds",
        "http_requests_running",
        "key_cache_hits_total",
        "key_cache_misses_total",
        "key_watch_connected",
        "requests_shed_total",
        "requests_limited_total",
        "keys_limited_total",
        "responses_shed_total",
        "pages_shed_total",
        "pages_limited_total",
        "files_shed_total",
        "forms_shed_total",
        "request_body_bytes",
        "response_bytes_reserved",
        "worker_computations_total",
        "worker_waiting",
        "requests_in_place",
        "requests_waiting",
        "http_connections",
        "http_connections_refused_total",
        "http_connections_limited_total",
        "http_connections_displaced_total",
        "http_connections_cut_total",
        "request_head_bytes",
        "request_heads_refused_total",
        "refusals_dropped_total",
    },
}
"""The metric names of the previous release, by service."""


async def test_services_keep_every_metric_name_of_the_previous_release(
    tmp_path: Path, keys_url: str, users_url: str, monkeypatch: pytest.MonkeyPatch
):
    missing = {}
    async with running_region(tmp_path, keys_url, users_url, monkeypatch) as region:
        for name, service in region.services.items():
            _, text = await region.admin(service, "/metrics")
            found = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
            missing[name] = PREVIOUS_METRICS[name] - found
    assert missing == {"usersvc": set(), "keysvc": set(), "gateway": set()}
