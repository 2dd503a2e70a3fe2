"""What two readers could read in two ways does not get through the edge as two requests.

The shapes are those that the gateway is tried with by itself, sent over TLS to a real Envoy.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.support.edge.envoys import Edge, running_edge
from tests.support.k8s.edge import Objects
from tests.support.k8s.manifests import REGIONS
from tests.support.smuggled_requests import QUIET_SECONDS, REFUSED, SECOND
from tests.support.stack import Stack

REWRITTEN = {
    "a folded coding",
    "a folded header",
    "a line that ends with LF",
    "a header that ends with LF",
    "a head that ends with LF",
    "a chunk's size with a blank",
    "a length behind the chunks",
}
"""What Envoy reads in the one way that RFC 9112 allows for, and writes anew without it."""


@pytest.fixture(scope="module")
def edge(tenant: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    gateway = (urlsplit(tenant.url).hostname or "", urlsplit(tenant.url).port or 0)
    objects = Objects.of("us", REGIONS["us"])
    with running_edge(objects, tmp_path_factory.mktemp("edge"), gateway) as running:
        yield running


async def answers(edge: Edge, sent: bytes) -> list[int]:
    """The statuses of all that is answered."""
    context = edge.context()
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", edge.port, ssl=context, server_hostname=edge.host
    )
    writer.write(sent)
    text = b""
    with suppress(TimeoutError, ConnectionError):
        while part := await asyncio.wait_for(reader.read(2**16), QUIET_SECONDS * 10):
            text += part
    writer.close()
    return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3})", text)]


async def test_each_shape_is_refused_or_led_on_as_one_request(edge: Edge, tenant: Stack):
    host = b"Host: " + edge.host.encode()

    async def sent(shape: bytes) -> list[int]:
        text = (shape + SECOND).replace(b"KEY", tenant.token.encode())
        # By another name: to the gateway's own tests nobody of the first may be there.
        text = text.replace(b"Host: a", host).replace(b"smuggler", b"traveler")
        return await answers(edge, text)

    found = dict(
        zip(
            REFUSED, await asyncio.gather(*(sent(shape) for shape in REFUSED.values())), strict=True
        )
    )

    # Its gateway refuses a CR amid a header, and what follows is then no request.
    assert found.pop("a CR in a header") == [400, 400]
    led_on = {name: statuses for name, statuses in found.items() if len(statuses) > 1}
    assert led_on.keys() == REWRITTEN
    assert all(first in (201, 409) and rest == [200] for first, *rest in led_on.values())
    for name in found.keys() - REWRITTEN:
        assert [status // 100 in (4, 5) for status in found[name]] == [True], name
    assert '"event":"internal error"' not in tenant.log("gateway")
