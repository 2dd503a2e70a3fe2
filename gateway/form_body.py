"""The bodies of forms: small, counted while they come in, and refused once they are too much."""

from aiohttp import web

from gateway.bodies import Holder


class FormTooLargeError(Exception):
    """A form has more bytes than are taken of it."""


class FormLostError(Exception):
    """The client left before the end of its form."""


async def receive(request: web.Request, hold: Holder, limit: int) -> bytes:
    """Wait for the whole body, at its client's pace.

    Refuses FormTooLargeError over `limit` bytes, FormLostError, and what `hold` refuses.
    """
    if (request.content_length or 0) > limit:
        raise FormTooLargeError
    body = bytearray()
    try:
        with hold.receiving():
            async for chunk in request.content.iter_any():
                if len(body) + len(chunk) > limit:
                    raise FormTooLargeError
                hold(len(chunk))
                body += chunk
    except (ConnectionError, web.RequestPayloadError):
        raise FormLostError from None
    return bytes(body)
