"""Unknown keys and half-sent headers exhaust neither memory, lookups nor connections."""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from keysvc.domain.key_token import generate
from keysvc.domain.organizations import Region
from tests.support import raw_http
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.process_memory import MEBIBYTE, resident_bytes
from tests.support.stack import Stack

KEYS = 1_200
"""Number of keys in each half of the test."""
CONNECTIONS = 12
LARGE = "".join(f"X-{number}: {'x' * 7_000}\r\n" for number in range(7))
SECONDS = 30.0


async def send_unknown_keys(gateway: Gateway, first: int) -> Counter[int]:
    """Send keys with large headers, each from another IPv6 /64 by X-Forwarded-For."""
    numbers = iter(range(first, first + KEYS))
    counts = await asyncio.gather(*(_send(gateway, numbers) for _ in range(CONNECTIONS)))
    return sum(counts, Counter())


async def _send(gateway: Gateway, numbers: Iterator[int]) -> Counter[int]:
    statuses: Counter[int] = Counter()
    connection = await raw_http.connect(gateway.address)
    path = gateway.url.removeprefix(gateway.base_url)
    for number in numbers:
        connection.send(
            f"GET {path}/Users HTTP/1.1\r\nHost: a\r\n"
            f"Authorization: Bearer {generate(Region.US, os.urandom).text}\r\n"
            f"X-Forwarded-For: 2001:db8:{number >> 3:x}:{number & 7:x}::1\r\n"
            f"{LARGE}\r\n".encode()
        )
        statuses[(await connection.response()).status] += 1
    connection.close()
    return statuses


@pytest.mark.parametrize("unknown_keys", [10_000, 3])
async def test_unknown_keys_with_large_headers_leave_no_memory(tenant: Stack, unknown_keys: int):
    with running_gateway(tenant, proxies=1, unknown_keys=unknown_keys) as gateway:
        pid = gateway.process.pid
        first = await send_unknown_keys(gateway, 0)
        after_first = resident_bytes(pid)
        second = await send_unknown_keys(gateway, KEYS)
        growth = resident_bytes(pid) - after_first

    assert (first + second).total() == 2 * KEYS
    assert (first + second).keys() <= {401, 429, 503}
    assert first[401] > 0
    assert growth < 24 * MEBIBYTE


async def test_uncached_keys_work_during_unknown_key_attack(tenant: Stack, operate: Operator):
    """After a restart the cache is empty, so lookups of valid keys compete with the attacker's."""
    keys = [await operate.generate_key(await operate.create_organization()) for _ in range(10)]
    with running_gateway(tenant, proxies=1, unknown_keys=2) as gateway:
        attack = asyncio.create_task(send_unknown_keys(gateway, 0))
        async with aiohttp.ClientSession() as session:
            replies = [
                await gateway.client(session, key.token)(
                    "GET", "/Users?count=0", X_Forwarded_For=f"2001:db8:ffff:{number}::1"
                )
                for number, key in enumerate(keys)
            ]
        under_attack = not attack.done()
        await attack

    assert under_attack
    assert [reply.status for reply in replies] == [200] * 10


async def test_half_sent_headers_do_not_exhaust_connections(tenant: Stack):
    with running_gateway(tenant, max_connections=40, address_connections=10) as gateway:
        half_sent = []
        for number in range(80):
            address = f"127.0.{number // 8 + 1}.1"
            _, writer = await asyncio.open_connection(*gateway.address, local_addr=(address, 0))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
            half_sent.append(writer)
        async with aiohttp.ClientSession() as session:
            scim = gateway.client(session, tenant.token)
            replies = [await scim("GET", "/Users?count=0") for _ in range(5)]
            async with session.get(gateway.metrics_url) as metrics:
                text = await metrics.text()
        for writer in half_sent:
            writer.transport.abort()

    assert [reply.status for reply in replies] == [200] * 5
    assert counter(text, 'http_server_connections_rejected_total{reason="total_limit"}') == 0
    assert counter(text, 'http_server_connections_aborted_total{reason="displaced"}') >= 40


def counter(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])
