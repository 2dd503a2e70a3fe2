"""A minimal SCIM client, which returns every response unchanged."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from tests.support.stack import Stack

SCIM = "application/scim+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; `document` is its JSON body, or None if the body is empty."""

    status: int
    document: Any
    headers: Mapping[str, str]


class Client:
    """Sends requests below a Tenant URL."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self.url = url
        self.token = token

    async def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request with the key; `headers` replace defaults (`If_Match` → `If-Match`)."""
        additional = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self._session.request(
            method,
            URL(self.url + path, encoded=True),
            data=data,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": SCIM, **additional},
            allow_redirects=False,
        ) as response:
            content = await response.read()
            assert response.headers["Content-Type"] == SCIM
            document = json.loads(content) if content else None
            return Reply(response.status, document, response.headers)


@asynccontextmanager
async def client(stack: Stack) -> AsyncIterator[Client]:
    """A client with the stack's own key."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Client(session, stack.url, stack.token)
