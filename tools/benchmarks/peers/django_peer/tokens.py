"""Authenticates a single token. A real project would query its database here."""

import hmac
import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_WANTED = f"Bearer {os.environ['PEER_TOKEN']}"


class _Known:
    is_authenticated = True


def authenticated(response: Callable[[HttpRequest], HttpResponse]):
    def answered(request: HttpRequest) -> HttpResponse:
        if hmac.compare_digest(request.headers.get("Authorization", ""), _WANTED):
            request.user = _Known()
        return response(request)

    return answered
