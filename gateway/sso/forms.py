"""Reading the small forms of a sign-in, never more of them than is taken."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateway.http.body import BodyLostError, BodyTooLargeError, Holder, receive
from gateway.sso.refusals import SignInError
from gateway.sso.shape import MAX_RESPONSE_CHARACTERS
from gateway.web.csrf import check_escapes, is_form

MAX_FIELDS: Final = 16
MAX_ESCAPES: Final = MAX_RESPONSE_CHARACTERS // 8
"""How many %XX a form holds at most: each costs a hundred times what a plain character does.

A response is base64 of XML. Of random bytes it has an escape (+ or /) in 32 characters, of XML
fewer; where it comes in lines of 76, two more for each (CR LF): one in 17 in all.
"""


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a route accepts: its fields, its limit in bytes, and the reason beyond it."""

    names: tuple[str, ...]
    max_bytes: int
    too_large_reason: str


EMAIL_FORM: Final = Form(("email", "next"), 16 * 1024, "bad_form")
RESPONSE_FORM: Final = Form(
    ("SAMLResponse", "RelayState"),
    2 * MAX_RESPONSE_CHARACTERS,  # a little of base64 takes three characters in a form
    "too_large",
)


def check_headers(request: web.Request, form: Form) -> None:
    """Refuse (bad_form, too_large) what its headers show to be no such form."""
    if not is_form(request.headers):
        raise SignInError("bad_form")
    if (request.content_length or 0) > form.max_bytes:
        raise SignInError(form.too_large_reason)


async def read_form(request: web.Request, hold: Holder, form: Form) -> list[str]:
    """The fields of a form. Refuses (bad_form, too_large) all but one of each."""
    fields = _parsed(await _body(request, hold, form))
    if any(len(fields.get(name, ())) != 1 for name in form.names):
        raise SignInError("bad_form")
    return [fields[name][0] for name in form.names]


async def _body(request: web.Request, hold: Holder, form: Form) -> bytes:
    try:
        return await receive(request, hold, form.max_bytes)
    except BodyTooLargeError:
        raise SignInError(form.too_large_reason) from None
    except BodyLostError:
        raise SignInError("bad_form") from None


def _parsed(body: bytes) -> dict[str, list[str]]:
    try:
        check_escapes(body, MAX_ESCAPES)
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise SignInError("bad_form") from None
