"""The HTTP response to a ScimError has the headers of the error."""

import pytest

from gateway.api.routing import MethodNotAllowedError
from gateway.api.versions import ContendedError
from gateway.auth.authenticator import UnauthorizedError
from gateway.http.body import CompressedBodyError
from gateway.http.responses import error_response
from gateway.limits.rejections import no_slot
from gateway.scim.errors import ScimError, invalid_value


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (invalid_value("No."), {}),
        (ScimError(503, None, "Later.", {"Retry-After": "2"}), {"Retry-After": "2"}),
        (UnauthorizedError("No."), {"WWW-Authenticate": "Bearer"}),
        (CompressedBodyError(), {"Accept-Encoding": "identity"}),
        (MethodNotAllowedError("PUT", {"GET": None, "POST": None}), {"Allow": "GET, HEAD, POST"}),
        (ContendedError(), {"Retry-After": "2"}),
        (no_slot(), {"Retry-After": "2"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ScimError) else "",
)
def test_error_response_has_the_headers_of_its_error(error, headers):
    assert dict(error.headers) == dict(error_response(error).headers) == headers
