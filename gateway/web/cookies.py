"""The cookies of a browser: the session, and the value to which its forms are bound."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web

FORM_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of the portal at one origin.

    Over HTTPS the names have the prefix `__Host-`, which stops other hosts from setting them.
    HTTP is for loopback only, where all ports share their cookies, so the region is in the name.
    """

    secure: bool
    suffix: str

    @classmethod
    def of(cls, portal_url: str, region: str) -> "Cookies":
        """The cookies for the portal at this URL."""
        secure = urlsplit(portal_url).scheme == "https"
        return cls(secure, "" if secure else f"-{region}")

    def session(self, request: web.Request) -> str:
        """The session token, or an empty string."""
        return self._value(request, "session")

    def set_session(self, response: web.StreamResponse, token: str) -> None:
        """Set the session cookie, until the browser closes, and clear the form binding."""
        self._set(response, "session", token, "Lax", None)
        self.clear_form_binding(response)

    def clear_session(self, response: web.StreamResponse) -> None:
        """Delete the session cookie."""
        self._clear(response, "session", "Lax")

    def form_binding(self, request: web.Request) -> str:
        """The value that forms without a session are bound to, or an empty string."""
        return self._value(request, "form")

    def set_form_binding(self, response: web.StreamResponse, value: str) -> None:
        """Set the value that forms are bound to before sign-in. It is valid for an hour."""
        self._set(response, "form", value, "Strict", FORM_SECONDS)

    def clear_form_binding(self, response: web.StreamResponse) -> None:
        """Delete the cookie that forms were bound to."""
        self._clear(response, "form", "Strict")

    def sign_in(self, request: web.Request) -> str:
        """The sign-in that waits for the identity provider's response, or an empty string."""
        return cookie_value(request.headers, self._name("sign-in"))

    def set_sign_in(
        self, response: web.StreamResponse, value: str, path: str, seconds: int
    ) -> None:
        """Set the sign-in that waits for a response to `path`.

        SameSite=None, because browsers do not send Lax cookies with a POST from another site. It
        requires Secure, which browsers also accept on loopback without TLS.
        """
        response.set_cookie(
            self._name("sign-in"),
            value,
            path=self._path(path),
            max_age=seconds,
            secure=True,
            httponly=True,
            samesite="None",
        )

    def clear_sign_in(self, response: web.StreamResponse, path: str) -> None:
        """Delete the sign-in that waits for a response to `path`."""
        response.del_cookie(
            self._name("sign-in"),
            path=self._path(path),
            secure=True,
            httponly=True,
            samesite="None",
        )

    def _path(self, path: str) -> str:
        """The path of a cookie: `/`, if its name has the prefix `__Host-`, which requires it."""
        return "/" if self.secure else path

    def _value(self, request: web.Request, base_name: str) -> str:
        value = cookie_value(request.headers, self._name(base_name))
        # Our values are ASCII. Invalid UTF-8 arrives as surrogates, which later code cannot encode.
        return value if value.isascii() else ""

    def _name(self, base_name: str) -> str:
        return f"__Host-{base_name}" if self.secure else f"{base_name}{self.suffix}"

    def _set(
        self,
        response: web.StreamResponse,
        base_name: str,
        value: str,
        same_site: Literal["Lax", "Strict"],
        max_age: int | None,
    ) -> None:
        response.set_cookie(
            self._name(base_name),
            value,
            path="/",
            max_age=max_age,
            secure=self.secure,
            httponly=True,
            samesite=same_site,
        )

    def _clear(
        self, response: web.StreamResponse, base_name: str, same_site: Literal["Lax", "Strict"]
    ) -> None:
        response.del_cookie(
            self._name(base_name), path="/", secure=self.secure, httponly=True, samesite=same_site
        )


def cookie_value(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie (RFC 6265 section 4.2.1), or an empty string.

    The last one wins if the name occurs several times. Only spaces and tabs are stripped from a
    name: browsers let any host set a cookie whose name is a Unicode space and then `__Host-…`.
    aiohttp's `cookies` is not used because it creates an object for each of the thousands of
    cookies that a header can contain.
    """
    found = ""
    for pair in headers.get("Cookie", "").split(";"):
        key, _, value = pair.partition("=")
        if key.strip(" \t") == name:
            found = value.strip()
    return found


def new_form_binding() -> str:
    """A random value to bind forms to before sign-in."""
    return secrets.token_urlsafe(24)
