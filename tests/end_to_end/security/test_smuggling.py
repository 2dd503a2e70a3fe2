"""Nobody can hide a request in another one: what two readers could read in two ways is refused.

Each shape is followed, on the same connection, by a second request. If the first is refused the
connection ends with it; if it is taken, each request has exactly one answer.
"""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from tests.support.scim import SCIM, Client
from tests.support.smuggled_requests import QUIET_SECONDS, REFUSED, SECOND, TAKEN
from tests.support.stack import Stack


async def conversation(stack: Stack, sent: bytes) -> tuple[list[int], bytes, bool]:
    """The statuses of all that is answered, the text of it, and whether the connection ended."""
    address = urlsplit(stack.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    text, ended = b"", False
    try:
        while not ended:
            part = await asyncio.wait_for(reader.read(2**16), QUIET_SECONDS)
            text, ended = text + part, not part
    except TimeoutError:
        pass
    except ConnectionError:
        ended = True
    writer.close()
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", text)
    return [int(each) for each in statuses], text, ended


@pytest.mark.parametrize("shape", REFUSED.values(), ids=REFUSED)
async def test_ambiguous_request_is_refused_and_connection_closed(
    tenant: Stack, scim: Client, shape: bytes
):
    sent = shape.replace(b"KEY", tenant.token.encode()) + SECOND

    statuses, text, ended = await conversation(tenant, sent)

    assert (statuses, ended) == ([400], True)
    assert f"Content-Type: {SCIM}".encode() in text
    found = await scim("GET", "/Users?filter=userName+eq+%22smuggler%40corp.test%22")
    assert found.document["totalResults"] == 0


@pytest.mark.parametrize(("shape", "statuses"), TAKEN.values(), ids=TAKEN)
async def test_accepted_request_and_its_follower_are_answered_once(
    tenant: Stack, shape: bytes, statuses: list[int]
):
    found, _, ended = await conversation(tenant, shape + SECOND)

    assert found == statuses
    assert ended is (b"Upgrade" in shape or b"CONNECT" in shape)
