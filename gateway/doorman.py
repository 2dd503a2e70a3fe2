"""Turns requests away before the application sees them, when there are too many.

The endpoint refuses them just the same (gateway.gate); here it costs a third. It
matters when most of what comes is turned away, and only then is it looked at.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.auth import Authenticator
from gateway.exchange import MEDIA_TYPE, error_answer
from gateway.gate import Gate
from gateway.turned_away import TurnedAwayError

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_RESOURCES: Final = ("/Users", "/Groups", "/Bulk")


class Doorman:
    """Stands before an application, and looks at requests for resources that come with a key."""

    def __init__(self, prefix: str, authenticator: Authenticator, gate: Gate) -> None:
        self._paths = tuple(prefix + each for each in _RESOURCES)
        self._authenticator = authenticator
        self._gate = gate

    def before(self, handler: Handler) -> Handler:
        """The handler, for those who may come in."""

        async def handled(request: web.BaseRequest) -> web.StreamResponse:
            if self._gate.is_pressed:
                answer = self._turned_away(request)
                if answer is not None:
                    return answer
            return await handler(request)

        return handled

    def _turned_away(self, request: web.BaseRequest) -> web.Response | None:
        if not request.rel_url.raw_path.startswith(self._paths):
            return None
        caller = self._authenticator.known(request.headers.get("Authorization", ""))
        if caller is None:
            return None
        error = self._gate.refusal(caller.organization_id)
        if error is None:
            return None
        self._gate.turned_away(error)
        return self._response(error, caller.organization_id)

    def _response(self, error: TurnedAwayError, organization_id: str) -> web.Response:
        answer = error_answer(error)
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Cache-Control": "no-store",
            "Server": "Cloud Academy",
            **answer.headers,
            **self._gate.headers(organization_id),
        }
        return web.Response(status=answer.status, body=answer.body, headers=headers)
