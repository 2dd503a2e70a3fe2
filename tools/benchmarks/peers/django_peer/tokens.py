"""Authenticates a single token. A real project would query its database here."""

import hmac
import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_EXPECTED = f"Bearer {os.environ['PEER_TOKEN']}"


class _TokenUser:
    is_authenticated = True


def token_middleware(get_response: Callable[[HttpRequest], HttpResponse]):
    def middleware(request: HttpRequest) -> HttpResponse:
        if hmac.compare_digest(request.headers.get("Authorization", ""), _EXPECTED):
            request.user = _TokenUser()
        return get_response(request)

    return middleware
