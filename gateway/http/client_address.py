"""Whose address a request has when it comes through proxies of ours."""

from collections.abc import Awaitable, Callable, Sequence
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
        entry = entry_from_end(lines, proxies)
        if _is_address(entry):
            request = request.clone(remote=entry)
        return await handler(request)

    app.middlewares.append(told)


def entry_from_end(lines: Sequence[str], place: int) -> str:
    """The entry at a place, counted from the end of a list in headers; empty if it is shorter.

    Clients may send hundreds of thousands of entries; those before that one are not read.
    """
    for line in reversed(lines):
        entries = line.rsplit(",", place)
        if len(entries) >= place:
            return entries[-place].strip()
        place -= len(entries)
    return ""


def _is_address(text: str) -> bool:
    if "%" in text:  # an IPv6 zone can be of any length, and means nothing outside its machine
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
