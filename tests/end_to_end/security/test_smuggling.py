"""Request smuggling: requests that two parsers could read differently are refused.

A second request follows each request on the same connection. If the first is refused, the gateway
closes the connection; if it is accepted, each request gets exactly one response.
"""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from tests.support.scim import SCIM, Client
from tests.support.smuggled_requests import ACCEPTED, QUIET_SECONDS, REJECTED, SECOND
from tests.support.stack import Stack


async def send_raw(stack: Stack, sent: bytes) -> tuple[list[int], bytes, bool]:
    """Send bytes; returns the statuses, all response bytes, and whether the connection closed."""
    address = urlsplit(stack.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    text, closed = b"", False
    try:
        while not closed:
            part = await asyncio.wait_for(reader.read(2**16), QUIET_SECONDS)
            text, closed = text + part, not part
    except TimeoutError:
        pass
    except ConnectionError:
        closed = True
    writer.close()
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", text)
    return [int(each) for each in statuses], text, closed


@pytest.mark.parametrize("raw", REJECTED.values(), ids=REJECTED)
async def test_ambiguous_request_is_refused_and_connection_closed(
    tenant: Stack, scim: Client, raw: bytes
):
    sent = raw.replace(b"KEY", tenant.token.encode()) + SECOND

    statuses, text, closed = await send_raw(tenant, sent)

    assert (statuses, closed) == ([400], True)
    assert f"Content-Type: {SCIM}".encode() in text
    found = await scim("GET", "/Users?filter=userName+eq+%22smuggler%40corp.test%22")
    assert found.document["totalResults"] == 0


@pytest.mark.parametrize(("raw", "statuses"), ACCEPTED.values(), ids=ACCEPTED)
async def test_accepted_request_and_its_follower_are_answered_once(
    tenant: Stack, raw: bytes, statuses: list[int]
):
    found, _, closed = await send_raw(tenant, raw + SECOND)

    assert found == statuses
    assert closed is (b"Upgrade" in raw or b"CONNECT" in raw)
