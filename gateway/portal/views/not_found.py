"""Paths of the portal where nothing is."""

from collections.abc import Collection

from aiohttp import web

from gateway.portal import problems
from gateway.portal.context import PageContext
from gateway.portal.problems import ProblemError


class NotFound:
    """Leads to the page of the same address with a slash, if there is one."""

    def __init__(self, pages: Collection[str]) -> None:
        self._pages = pages

    async def __call__(self, context: PageContext) -> web.Response:
        """Redirect, or say that there is nothing."""
        path = f"{context.request.path}/"
        if context.request.method in ("GET", "HEAD") and path in self._pages:
            return context.redirect(path)
        raise ProblemError(problems.NOT_FOUND)
