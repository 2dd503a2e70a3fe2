"""Reading the small forms of a sign-in, never more of them than is taken."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateway.bodies import BodyLostError, BodyTooLargeError, Holder, receive
from gateway.sso.refusals import SignInError
from gateway.sso.shape import MAX_RESPONSE_CHARACTERS

MAX_FIELDS: Final = 16

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a step takes: its fields, its bytes at most, and what it is with more of them."""

    names: tuple[str, ...]
    max_bytes: int
    beyond: str


EMAIL: Final = Form(("email", "next"), 16 * 1024, "bad_form")
RESPONSE: Final = Form(
    ("SAMLResponse", "RelayState"),
    2 * MAX_RESPONSE_CHARACTERS,  # a little of base64 takes three characters in a form
    "too_large",
)


async def read_form(request: web.Request, hold: Holder, form: Form) -> list[str]:
    """The fields of a form. Refuses (bad_form, too_large) all but one of each."""
    if request.content_type != _FORM:
        raise SignInError("bad_form")
    fields = _parsed(await _body(request, hold, form))
    if any(len(fields.get(name, ())) != 1 for name in form.names):
        raise SignInError("bad_form")
    return [fields[name][0] for name in form.names]


async def _body(request: web.Request, hold: Holder, form: Form) -> bytes:
    try:
        return await receive(request, hold, form.max_bytes)
    except BodyTooLargeError:
        raise SignInError(form.beyond) from None
    except BodyLostError:
        raise SignInError("bad_form") from None


def _parsed(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise SignInError("bad_form") from None
