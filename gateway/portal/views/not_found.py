"""Handling of unknown paths below the portal's roots."""

from collections.abc import Collection

from aiohttp import web

from gateway.portal import problems
from gateway.portal.context import PageContext
from gateway.portal.problems import ProblemError


class NotFound:
    """Redirects to the same path with a slash if that is a page; otherwise shows an error page."""

    def __init__(self, pages: Collection[str]) -> None:
        self._pages = pages

    async def __call__(self, context: PageContext) -> web.Response:
        """Redirect, or raise ProblemError (404)."""
        path = f"{context.request.path}/"
        if context.request.method in ("GET", "HEAD") and path in self._pages:
            return context.redirect(path)
        raise ProblemError(problems.NOT_FOUND)
