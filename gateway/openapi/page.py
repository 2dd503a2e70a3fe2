"""Serves the OpenAPI document at `/openapi.json`, without authentication."""

from typing import Final

from aiohttp import web

from gateway.openapi.schemas import Json
from gateway.scim.responses import dumps

PATH: Final = "/openapi.json"


def page(document: Json) -> web.RouteDef:
    """The route of the document, which is serialized once."""
    body = dumps(document)

    async def respond(_: web.Request) -> web.Response:
        headers = {
            "Cache-Control": "public, max-age=300",
            "X-Content-Type-Options": "nosniff",
            "Server": "Cloud Academy",
        }
        return web.Response(body=body, content_type="application/json", headers=headers)

    return web.get(PATH, respond)
