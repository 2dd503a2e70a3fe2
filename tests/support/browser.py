"""A minimal browser: it has cookies and forms, but no scripts or automatic redirects."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser

import aiohttp
from yarl import URL


@dataclass(frozen=True, slots=True)
class Page:
    """A response to the browser."""

    url: str
    status: int
    headers: Mapping[str, str]
    set_cookies: tuple[str, ...]
    text: str

    @property
    def location(self) -> str:
        """The URL of a redirect."""
        return self.headers["Location"]

    def form(self) -> tuple[str, dict[str, str]]:
        """The action URL of the page's only form, and its field values."""
        reader = _FormReader()
        reader.feed(self.text)
        return str(URL(self.url).join(URL(reader.action))), reader.fields


class Browser:
    """Keeps cookies. Does not follow redirects."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self.base_url = base_url

    async def get(self, path: str, **headers: str) -> Page:
        """GET a local path or an absolute URL."""
        return await self._send("GET", path, None, headers)

    async def post(self, path: str, fields: object, **headers: str) -> Page:
        """POST a form."""
        return await self._send("POST", path, fields, headers)

    def cookie(self, name: str, path: str = "/") -> str | None:
        """The value of a cookie that the browser sends to a local path, if there is one."""
        found = self._session.cookie_jar.filter_cookies(URL(self.base_url + path)).get(name)
        return found.value if found else None

    def put_cookie(self, name: str, value: str) -> None:
        """Set a cookie of the base URL."""
        self._session.cookie_jar.update_cookies({name: value}, URL(self.base_url))

    async def _send(self, method: str, path: str, data: object, headers: Mapping[str, str]) -> Page:
        url = self.base_url + path if path.startswith("/") else path
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method,
            URL(url, encoded=True),
            data=data,
            headers=sent_headers,
            allow_redirects=False,
        ) as response:
            return Page(
                url,
                response.status,
                response.headers,
                tuple(response.headers.getall("Set-Cookie", ())),
                await response.text(),
            )


@asynccontextmanager
async def open_browser(base_url: str) -> AsyncIterator[Browser]:
    """A new browser for a base URL."""
    # Like a real browser, it accepts Secure cookies from loopback without TLS.
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=[URL(base_url)])
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        yield Browser(session, base_url)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = attributes.get("action", "")
        elif tag == "input" and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value", "")
