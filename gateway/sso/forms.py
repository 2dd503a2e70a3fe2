"""Reads the forms of single sign-on, within limits."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateway.http.body import BodyReservation, BodyTooLargeError, IncompleteBodyError, receive
from gateway.sso.refusals import SignInError
from gateway.sso.response_structure import MAX_RESPONSE_CHARACTERS
from gateway.web.csrf import CSRF_FIELD, check_escapes, is_form

MAX_FIELDS: Final = 16
MAX_ESCAPES: Final = MAX_RESPONSE_CHARACTERS // 8
"""The maximum number of %XX escapes in a form. Decoding one costs as much as 100 plain characters.

A response is base64 of XML. In base64 of random bytes, 1 in 32 characters (+ or /) is escaped, and
in base64 of XML fewer. In lines of 76 characters, each line end (CR LF) adds two escapes. That is
at most 1 in 17 characters.
"""


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a route accepts: its fields, its limit in bytes, and the reason beyond it."""

    names: tuple[str, ...]
    max_bytes: int
    too_large_reason: str


EMAIL_FORM: Final = Form(("email", "next", CSRF_FIELD), 16 * 1024, "bad_form")
CONFIRMATION_FORM: Final = Form(
    ("organization", "next", "test", "replaces", CSRF_FIELD), 16 * 1024, "bad_form"
)
RESPONSE_FORM: Final = Form(
    ("SAMLResponse", "RelayState"),
    2 * MAX_RESPONSE_CHARACTERS,  # + and / take three characters each in a form
    "too_large",
)


def check_headers(request: web.Request, form: Form) -> None:
    """Check the headers of a form. Raises SignInError (bad_form, too_large)."""
    if not is_form(request.headers):
        raise SignInError("bad_form")
    if (request.content_length or 0) > form.max_bytes:
        raise SignInError(form.too_large_reason)


async def read_form(request: web.Request, reservation: BodyReservation, form: Form) -> list[str]:
    """The fields of a form, each exactly once. Raises SignInError (bad_form, too_large)."""
    fields = _parsed(await _body(request, reservation, form))
    if any(len(fields.get(name, ())) != 1 for name in form.names):
        raise SignInError("bad_form")
    return [fields[name][0] for name in form.names]


async def _body(request: web.Request, reservation: BodyReservation, form: Form) -> bytes:
    try:
        return await receive(request, reservation, form.max_bytes)
    except BodyTooLargeError:
        raise SignInError(form.too_large_reason) from None
    except IncompleteBodyError:
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
