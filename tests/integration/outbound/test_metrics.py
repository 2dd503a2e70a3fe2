"""The metrics of outgoing traffic."""

from typing import Any

from chassis.observability.metrics import Metrics
from gateway.outbound.telemetry import Purpose
from tests.support.outbound.outside import HOST, ORGANIZATION, Outside, refusal, request
from tests.support.outbound.servers import ok, tls_server


def counts(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The counts of a histogram by the values of its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"{name}_count"
    }


async def test_requests_and_lookups_are_counted_by_outcome_without_hosts(outside: Outside):
    metrics = Metrics()
    outside.names.records["_proof.acme.test", "TXT"] = ['"proof"']
    files = outside.certificate()
    async with (
        tls_server(files, ok(b"")) as server,
        tls_server(files, ok(b"", status="410 Gone")) as gone,
        outside.clients() as clients,
    ):
        clients.observe(metrics)
        send: Any = clients.https.send
        await send(request(f"https://{HOST}:{server.port}/"))
        await send(request(f"https://{HOST}:{gone.port}/", method="POST", body=b"{}"))
        keys = request("https://absent.test/keys", purpose=Purpose.ISSUER_KEYS)
        await refusal(send(keys))
        await clients.txt_lookups.txt_records(ORGANIZATION, "_proof.acme.test")

    assert counts(metrics, "http_client_request_duration_seconds") == {
        ("GET", "200", "", "webhook"): 1,
        ("POST", "410", "410", "webhook"): 1,
        ("GET", "", "name_not_found", "issuer_keys"): 1,
    }
    assert counts(metrics, "dns_lookup_duration_seconds") == {("",): 3, ("name_not_found",): 1}
    text = metrics.text().decode()
    assert ".test" not in text
    assert "http_client_active_requests 0.0" in text
