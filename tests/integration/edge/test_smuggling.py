"""Requests that two parsers could read differently do not pass the edge as two requests.

The requests are those of the gateway's own smuggling tests, sent over TLS to a real Envoy.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.support.edge.envoys import Edge, running_edge
from tests.support.k8s.edge import EdgeObjects
from tests.support.k8s.manifests import REGIONS
from tests.support.smuggled_requests import QUIET_SECONDS, REJECTED, SECOND
from tests.support.stack import Stack

REWRITTEN = {
    "folded Transfer-Encoding",
    "folded header",
    "request line that ends with LF",
    "header that ends with LF",
    "head that ends with LF",
    "chunk size with a space",
    "Content-Length in the trailers",
}
"""Envoy reads these in the one way that RFC 9112 allows, and forwards them without ambiguity."""


@pytest.fixture(scope="module")
def edge(tenant: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    gateway = (urlsplit(tenant.url).hostname or "", urlsplit(tenant.url).port or 0)
    objects = EdgeObjects.of("us", REGIONS["us"])
    with running_edge(objects, tmp_path_factory.mktemp("edge"), gateway) as running:
        yield running


async def statuses_of(edge: Edge, sent: bytes) -> list[int]:
    """The statuses of all responses to these bytes."""
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
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", text)]


async def test_ambiguous_request_is_refused_or_forwarded_as_one(edge: Edge, tenant: Stack):
    host = b"Host: " + edge.host.encode()

    async def statuses_for(shape: bytes) -> list[int]:
        text = (shape + SECOND).replace(b"KEY", tenant.token.encode())
        # Another user name: the gateway's own tests need the original one to be unused.
        text = text.replace(b"Host: a", host).replace(b"smuggler", b"traveler")
        return await statuses_of(edge, text)

    found = dict(
        zip(
            REJECTED,
            await asyncio.gather(*(statuses_for(shape) for shape in REJECTED.values())),
            strict=True,
        )
    )

    # The gateway refuses a CR in a header, and then the rest as an invalid request.
    assert found.pop("CR in a header") == [400, 400]
    forwarded = {name: statuses for name, statuses in found.items() if len(statuses) > 1}
    assert forwarded.keys() == REWRITTEN
    assert all(first in (201, 409) and rest == [200] for first, *rest in forwarded.values())
    for name in found.keys() - REWRITTEN:
        assert [status // 100 in (4, 5) for status in found[name]] == [True], name
    assert '"event":"internal error"' not in tenant.log("gateway")
