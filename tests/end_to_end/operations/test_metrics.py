"""The metrics of requests on the gateway's admin port."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateways import Gateway, running_gateway
from tests.support.stack import Stack
from tests.support.waiting import wait_until


@pytest.fixture
def gateway(tenant: Stack) -> Iterator[Gateway]:
    """A second gateway of the region, whose counters are zero."""
    with running_gateway(tenant) as running:
        yield running


def send(url: str, token: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def read(gateway: Gateway) -> tuple[str, dict[tuple[str, ...], float]]:
    """The metrics as text, and their values by name and labels."""
    with urllib.request.urlopen(gateway.metrics_url, timeout=10) as response:
        text = response.read().decode()
    return text, {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_cache_lookups_by_result(gateway: Gateway, tenant: Stack):
    base = gateway.url
    # The gateway caches keys only while it watches for revocations.
    wait_until(lambda: read(gateway)[1]["key_watch_connected",] == 1)
    statuses = [send(f"{base}/Users?count={number}", tenant.token) for number in range(3)]
    statuses.append(send(f"{base}/Users/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", tenant.token))
    wait_until(lambda: read(gateway)[1]["http_requests_running",] == 0)
    text, samples = read(gateway)

    assert statuses == [200, 200, 200, 404]
    duration = "http_server_request_duration_seconds_count"
    assert samples[duration, "", "GET", "200", "/Users"] == 3
    assert samples[duration, "", "GET", "404", "/Users/{id}"] == 1
    assert samples["http_server_active_requests",] == 0
    lookups = {result: samples["key_cache_lookups_total", result] for result in ("miss", "hit")}
    assert lookups == {"miss": 1, "hit": 3}
    assert samples["key_watch_connected",] == 1
    assert tenant.token not in text
