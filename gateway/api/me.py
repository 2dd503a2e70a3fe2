"""The endpoint /Me (RFC 7644 section 3.11)."""

from typing import Final

from gateway.api.request import ScimRequest
from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def not_implemented(_: ScimRequest) -> ScimResponse:
    """Refuse (501) every method: an API key acts for an organization, not for a user."""
    raise ScimError(
        501,
        None,
        "/Me is the user who sends the request, but an API key has no user. Use /Users/{id}.",
    )
