"""Where the description is published: `/openapi.json`, for everybody."""

from typing import Final

from aiohttp import web

from gateway.openapi.schemas import Json
from gateway.scim.responses import dumps

PATH: Final = "/openapi.json"


def page(document: Json) -> web.RouteDef:
    """The route that answers with a description, which is the same for whoever asks."""
    body = dumps(document)

    async def answer(_: web.Request) -> web.Response:
        headers = {
            "Cache-Control": "public, max-age=300",
            "X-Content-Type-Options": "nosniff",
            "Server": "Cloud Academy",
        }
        return web.Response(body=body, content_type="application/json", headers=headers)

    return web.get(PATH, answer)
