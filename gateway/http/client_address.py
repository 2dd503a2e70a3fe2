"""The address of the client of a request that arrives through our proxies."""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def trust_proxies(app: web.Application, proxies: int) -> None:
    """Make `request.remote` the address of the client; call this before the application runs.

    `proxies` is the number of our proxies that each request passes. Each proxy appends the address
    of its client to X-Forwarded-For. Earlier entries are claims of the client, and are ignored.
    """

    @web.middleware
    async def with_client_address(request: web.Request, handler: Handler) -> web.StreamResponse:
        lines = request.headers.getall("X-Forwarded-For", [])
        entry = entry_from_end(lines, proxies)
        if _is_address(entry):
            request = request.clone(remote=entry)
        return await handler(request)

    app.middlewares.append(with_client_address)


def entry_from_end(lines: Sequence[str], position: int) -> str:
    """The entry at a position, counted from the end of a list in headers; empty if it is shorter.

    Clients may send hundreds of thousands of entries; earlier entries are not read.
    """
    for line in reversed(lines):
        entries = line.rsplit(",", position)
        if len(entries) >= position:
            return entries[-position].strip()
        position -= len(entries)
    return ""


def _is_address(text: str) -> bool:
    if "%" in text:  # an IPv6 zone can have any length, and has no meaning on another machine
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
