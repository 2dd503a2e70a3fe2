"""Whose address a request has when it comes through proxies of ours."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def behind(app: web.Application, proxies: int) -> None:
    """Let an application that does not run yet see the addresses of clients, not of proxies.

    Each proxy appends to X-Forwarded-For whom it was called by; whatever stands
    before the entries of ours is the client's own word, and is not looked at.
    """

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        lines = request.headers.getall("X-Forwarded-For", [])
        entries = [entry.strip() for line in lines for entry in line.split(",")]
        if len(entries) >= proxies and _is_address(entries[-proxies]):
            request = request.clone(remote=entries[-proxies])
        return await handler(request)

    app.middlewares.append(told)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
