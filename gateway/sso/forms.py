"""Reading the small forms of a sign-in, never more of them than is taken."""

from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from gateway.sso.refusals import SignInError
from gateway.sso.shape import MAX_RESPONSE_CHARACTERS

MAX_BODY_BYTES: Final = 2 * MAX_RESPONSE_CHARACTERS
"""A little of base64 takes three characters in a form."""
MAX_FIELDS: Final = 16

_FORM: Final = "application/x-www-form-urlencoded"


async def read_form(request: web.Request, *names: str) -> list[str]:
    """The fields of these names. Refuses (bad_form, too_large) all but one of each."""
    if request.content_type != _FORM:
        raise SignInError("bad_form")
    fields = _parsed(await _body(request))
    if any(len(fields.get(name, ())) != 1 for name in names):
        raise SignInError("bad_form")
    return [fields[name][0] for name in names]


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise SignInError("too_large")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise SignInError("too_large")
    return bytes(body)


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
