"""The cookies: which session the browser is in, and which forms were given to it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web

FORM_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of a portal at one address.

    Over https their names begin with `__Host-`, by which browsers let nobody
    else set them. Over http, which is for loopback only, cookies of all ports
    are one: there the region is in the name.
    """

    secure: bool
    suffix: str

    @classmethod
    def of(cls, portal_url: str, region: str) -> "Cookies":
        """The cookies of a portal by its address."""
        secure = urlsplit(portal_url).scheme == "https"
        return cls(secure, "" if secure else f"-{region}")

    def session(self, request: web.Request) -> str:
        """The session token; empty when the browser has none."""
        return self._value(request, "session")

    def set_session(self, response: web.StreamResponse, token: str) -> None:
        """Give the browser a session; it ends with the browser at the latest."""
        self._set(response, "session", token, "Lax", None)
        self.clear_form_binding(response)

    def clear_session(self, response: web.StreamResponse) -> None:
        """Take the session from the browser."""
        self._clear(response, "session", "Lax")

    def form_binding(self, request: web.Request) -> str:
        """What forms without a session are bound to; empty when there is nothing."""
        return self._value(request, "form")

    def set_form_binding(self, response: web.StreamResponse, value: str) -> None:
        """Bind forms to this browser, before it has a session."""
        self._set(response, "form", value, "Strict", FORM_SECONDS)

    def clear_form_binding(self, response: web.StreamResponse) -> None:
        """Forget what forms were bound to."""
        self._clear(response, "form", "Strict")

    def _value(self, request: web.Request, word: str) -> str:
        value = cookie_value(request.headers, self._name(word))
        # Ours are ASCII. Bytes that are no UTF-8 are surrogates here, which nothing else takes.
        return value if value.isascii() else ""

    def _name(self, word: str) -> str:
        return f"__Host-{word}" if self.secure else f"{word}{self.suffix}"

    def _set(
        self,
        response: web.StreamResponse,
        word: str,
        value: str,
        same_site: Literal["Lax", "Strict"],
        max_age: int | None,
    ) -> None:
        response.set_cookie(
            self._name(word),
            value,
            path="/",
            max_age=max_age,
            secure=self.secure,
            httponly=True,
            samesite=same_site,
        )

    def _clear(
        self, response: web.StreamResponse, word: str, same_site: Literal["Lax", "Strict"]
    ) -> None:
        response.del_cookie(
            self._name(word), path="/", secure=self.secure, httponly=True, samesite=same_site
        )


def cookie_value(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie (RFC 6265 section 4.2.1), empty without one; of several, the last.

    aiohttp's `cookies` makes an object of each of the thousands that a header may hold.
    """
    found = ""
    for pair in headers.get("Cookie", "").split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            found = value.strip()
    return found


def new_form_binding() -> str:
    """What forms are bound to before there is a session."""
    return secrets.token_urlsafe(24)
