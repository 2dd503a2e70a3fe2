"""Turns requests away before the application sees them, when there are too many.

The endpoint refuses them just the same (gateway.gate); here it costs a fifth. It
matters when most of what comes is turned away, and only then is it looked at.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from gateway.auth import Authenticator
from gateway.exchange import MEDIA_TYPE, error_answer
from gateway.gate import Gate
from gateway.turned_away import TurnedAwayError, Why

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MAX_ANSWERS: Final = 100
_RESOURCES: Final = ("/Users", "/Groups", "/Bulk")


class Doorman:
    """Stands before an application, and looks at requests for resources that come with a key."""

    def __init__(self, prefix: str, authenticator: Authenticator, gate: Gate) -> None:
        self._paths = tuple(prefix + each for each in _RESOURCES)
        self._authenticator = authenticator
        self._gate = gate
        self._answers: dict[tuple[Why, str], bytes] = {}

    def before(self, handler: Handler) -> Handler:
        """The handler, for those who may come in."""

        async def handled(request: web.BaseRequest) -> web.StreamResponse:
            if self._gate.is_pressed:
                answer = self._turned_away(request)
                if answer is not None:
                    return answer
            return await handler(request)

        return handled

    def _turned_away(self, request: web.BaseRequest) -> web.StreamResponse | None:
        usual = request.version == HttpVersion11 and request.keep_alive and request.method != "HEAD"
        if not usual or not request.rel_url.raw_path.startswith(self._paths):
            return None
        caller = self._authenticator.known(request.headers.get("Authorization", ""))
        error = None if caller is None else self._gate.refusal(caller.organization_id)
        if caller is None or error is None:
            return None
        self._gate.turned_away(error, caller.organization_id)
        return _Ready(error.status, self._ready(error))

    def _ready(self, error: TurnedAwayError) -> bytes:
        """The answer as bytes; there are few, apart from the seconds to wait."""
        kind = (error.why, error.headers["Retry-After"])
        ready = self._answers.get(kind)
        if ready is None:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            more = self._gate.nothing_left if error.why is Why.RATE else {}
            ready = self._answers[kind] = as_http(error, **more)
        return ready


class _Ready(web.StreamResponse):
    """An answer that is written as it is, without anything that aiohttp would do for it."""

    keep_alive = True

    def __init__(self, status: int, ready: bytes) -> None:
        super().__init__(status=status)
        self._bytes = ready

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write it."""
        await request.writer.write(self._bytes)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """There is nothing more."""


def as_http(error: TurnedAwayError, **more: str) -> bytes:
    """The whole answer to somebody who is turned away, as it goes over the wire."""
    answer = error_answer(error)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "Cloud Academy",
        **answer.headers,
        **more,
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
