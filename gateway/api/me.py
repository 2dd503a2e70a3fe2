"""The endpoint /Me (RFC 7644 section 3.11)."""

from typing import Final

from gateway.api.request import ScimRequest
from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def not_implemented(_: ScimRequest) -> ScimResponse:
    """Every method: an API key speaks for an organization, so that nobody is "me"."""
    raise ScimError(
        501,
        None,
        "/Me stands for the person who asks, and an API key is no person. Use /Users/{id}.",
    )
