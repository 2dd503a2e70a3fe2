"""The admin port: metrics and probes."""

import asyncio
import socket
from dataclasses import replace

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chassis.config.settings import Address
from chassis.rpc.channel import connect
from chassis.startup import StartError
from tests.support.chassis.echoes import ECHO, HOLD, OPEN, EchoServer, echo_server, until

WITH_ADMIN_PORT = replace(OPEN, admin=Address("127.0.0.1", 0))


async def ask(server: EchoServer, path: str) -> tuple[int, str]:
    address = server.logged("admin listening")[0]["address"]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}{path}") as response,
    ):
        return response.status, await response.text()


async def scrape(server: EchoServer) -> dict[tuple[str, ...], float]:
    """Samples by their metric name and label values; the label values are sorted by label name."""
    _, text = await ask(server, "/metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_calls_are_counted_by_method_and_outcome_and_timed():
    async with echo_server(WITH_ADMIN_PORT) as server, connect(server.target, {}) as channel:
        for _ in range(3):
            await channel.unary_unary(ECHO)(b"", timeout=5)
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(HOLD)(b"", timeout=0.1)
        await until(lambda: server.service.cancelled == 1)
        held = asyncio.ensure_future(channel.unary_unary(HOLD)(b""))
        await until(lambda: server.service.held == 1)
        samples = await scrape(server)
        server.service.release.set()
        await held

    duration = "rpc_server_call_duration_seconds"
    assert samples[f"{duration}_count", "", ECHO[1:], "OK"] == 3
    assert samples[f"{duration}_count", "CANCELLED", HOLD[1:], "CANCELLED"] == 1
    assert samples[f"{duration}_bucket", "CANCELLED", "0.05", HOLD[1:], "CANCELLED"] == 0
    assert samples["rpc_server_active_calls",] == 1
    assert samples["grpc_server_calls_ended_total", ECHO, "OK"] == 3
    assert samples["grpc_server_calls_ended_total", HOLD, "CANCELLED"] == 1
    assert samples["grpc_server_calls_seconds_count", ECHO] == 3
    assert samples["grpc_server_calls_seconds_bucket", "0.05", HOLD] == 0
    assert samples["grpc_server_calls_running",] == 1
    assert samples["process_resident_memory_bytes",] > 0


async def test_active_and_retained_tasks_are_counted_separately():
    async def fail() -> None:
        raise ValueError

    async with echo_server(WITH_ADMIN_PORT) as server:
        before = await scrape(server)
        running = [asyncio.create_task(asyncio.Event().wait()) for _ in range(5)]
        retained = [asyncio.create_task(fail()) for _ in range(7)]
        await asyncio.wait(retained)
        during = await scrape(server)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *retained, return_exceptions=True)
        del running, retained, task
        after = await scrape(server)

    during_growth, after_growth = _growth(before, during), _growth(before, after)
    assert during_growth["asyncio_tasks"] >= 5
    assert during_growth["asyncio_tasks_retained"] >= 7
    assert after_growth["asyncio_tasks"] < 5
    assert after_growth["asyncio_tasks_retained"] < 7


def _growth(
    before: dict[tuple[str, ...], float], after: dict[tuple[str, ...], float]
) -> dict[str, float]:
    names = ("asyncio_tasks", "asyncio_tasks_retained")
    return {name: after[name,] - before[name,] for name in names}


async def test_probes_distinguish_liveness_from_readiness():
    async with echo_server(WITH_ADMIN_PORT) as server:
        await until(lambda: bool(server.logged("health")))
        while_ready = [await ask(server, path) for path in ("/healthz", "/readyz")]
        server.in_service = False
        await until(lambda: server.logged("health")[-1]["ready"] is False)
        while_not_ready = [await ask(server, path) for path in ("/healthz", "/readyz")]
        unknown_path, _ = await ask(server, "/")

    assert while_ready == [(200, "yes\n"), (200, "yes\n")]
    assert while_not_ready == [(200, "yes\n"), (503, "no\n")]
    assert unknown_path == 404


async def test_process_does_not_start_if_its_admin_port_is_in_use():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address_in_use = Address(*other.getsockname())
        with pytest.raises(StartError, match="cannot listen on"):
            async with echo_server(replace(OPEN, admin=address_in_use)):
                pytest.fail("the server started")


async def test_admin_port_is_closed_by_default():
    async with echo_server() as server:
        assert server.logged("admin listening") == []
