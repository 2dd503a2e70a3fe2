"""Under overload the gateway rejects requests and sends no wrong response.

`make overload` measures its throughput under overload.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateways import Gateway, running_gateway
from tests.support.stack import Stack
from tests.support.waiting import pace
from tools.benchmarks.processes import resident_bytes
from tools.benchmarks.work import Work
from tools.overload.load import Target, connected, in_turn
from tools.overload.tenants import at, tenants

pytestmark = pytest.mark.exclusive
SLOTS = 4
CONNECTIONS = 300
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def small(tenant: Stack) -> Iterator[Gateway]:
    """A gateway with few slots and without effective rate limits."""
    with running_gateway(
        tenant, max_requests=SLOTS, organization_rate=100_000, organization_burst=100_000
    ) as gateway:
        yield gateway


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


@pytest.fixture
async def works(tenant: Stack, small: Gateway) -> list[Work]:
    """Work of three organizations, sent to the small gateway."""
    return [at(work, small.address) for work in await tenants(tenant, 3, people=50)]


async def metric(
    session: aiohttp.ClientSession, gateway: Gateway, name: str, **labels: str
) -> float:
    async with session.get(gateway.metrics_url) as reply:
        text = await reply.text()
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


async def test_overload_is_503_with_retry_after_and_no_wrong_response(
    small: Gateway, works: list[Work], session: aiohttp.ClientSession
):
    before = resident_bytes(small.process.pid)
    async with connected(Target(small.address), CONNECTIONS) as connections:
        flood = asyncio.create_task(
            connections.offer(in_turn([work.mix() for work in works]), rate=3_000, seconds=4.0)
        )
        await pace(1.0)  # during the flood
        pages = [await session.get(small.base_url + path) for path in ("/healthz", "/readyz")]
        sign_in = await session.get(small.base_url + "/login/")
        outcome = await flood

    after = await session.get(
        small.url + "/Users?count=1", headers={"Authorization": f"Bearer {works[0].token}"}
    )
    assert outcome.wrong == []
    assert outcome.correct > 50
    assert outcome.shed[503] > 50
    assert outcome.shed[429] == 0
    assert [page.status for page in pages] == [200, 200]
    assert sign_in.status == 200
    assert after.status == 200
    rejected = "http_server_requests_rejected_total"
    assert await metric(session, small, rejected, reason="no_slot") >= outcome.shed[503]
    assert await metric(session, small, "admission_control_slots_in_use") == 0
    assert await metric(session, small, "admission_control_queue_depth") == 0
    assert resident_bytes(small.process.pid) - before < 64 * MEBIBYTE
    lines = small.log_lines("requests rejected")
    assert sum(line["no_slot"] for line in lines) > 0
    assert len(lines) < 30  # rejections are logged in summaries


async def test_flooding_organization_does_not_starve_another(small: Gateway, works: list[Work]):
    """An organization that sends one request at a time always gets a slot during the flood."""
    greedy, modest, _ = works
    target = Target(small.address)
    async with connected(target, CONNECTIONS) as many, connected(target, 1) as one:
        flood = asyncio.create_task(many.offer(greedy.get(), rate=2_000, seconds=4.0))
        await pace(0.5)  # during the flood
        served = await one.keep_busy(modest.get(), seconds=2.5)
        flooded = await flood

    assert flooded.shed[503] > 50
    assert flooded.wrong == served.wrong == []
    assert served.shed == {429: 0, 503: 0}
    assert served.correct > 10


async def test_refused_change_is_not_applied(small: Gateway, works: list[Work]):
    """A client may repeat a change after this 503 without reading first."""
    work = works[0]
    async with connected(Target(small.address), CONNECTIONS) as connections:
        outcome = await connections.offer(work.create(), rate=1_500, seconds=2.0)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {work.token}"}) as reader:
        reply = await reader.get(f"http://{work.host}{work.prefix}/Users?count=0")
        total = (await reply.json(content_type=None))["totalResults"]

    assert outcome.wrong == []
    assert outcome.shed[503] > 20
    assert total == len(work.people) + outcome.correct
