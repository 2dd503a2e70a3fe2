"""Static files. A URL contains the digest of its content, so browsers cache it for a year."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

PATH: Final = "/portal/assets/"
FOLDER: Final = Path(__file__).parent / "static"

_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file, ready to send."""

    content: bytes
    content_type: str
    etag: str


class Assets:
    """All static files of a folder, read once at startup."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._urls: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in _TYPES:
                self._add(path)

    def _add(self, path: Path) -> None:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        name = f"{path.stem}.{digest}{path.suffix}"
        self._urls[path.name] = PATH + name
        self._assets[name] = Asset(content, _TYPES[path.suffix], f'"{digest}"')

    def url(self, name: str) -> str:
        """The URL of a file."""
        return self._urls[name]

    async def get(self, request: web.Request) -> web.Response:
        """Send a file, or 304 for a current copy. Raises HTTPNotFound for unknown names."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {
            "Cache-Control": _YEAR,
            "ETag": asset.etag,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Server": "Cloud Academy",
        }
        if request.headers.get("If-None-Match") == asset.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=asset.content, headers={**headers, "Content-Type": asset.content_type}
        )
