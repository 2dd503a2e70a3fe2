"""Rejects requests before they are parsed while the gateway is overloaded.

The endpoint would reject the same requests (gateway.limits.admission); here a rejection costs a
fifth as much. Under overload most requests are rejected, and only then are requests inspected here.
"""

from typing import Final

from gateway.auth.authenticator import Authenticator, Caller
from gateway.http.plain_request import MAX_HEAD_BYTES, PlainRequests
from gateway.http.responses import raw_error_response
from gateway.limits.admission import AdmissionControl
from gateway.limits.rejections import RejectedError, RejectReason

MAX_RESPONSES: Final = 100
_RESOURCES: Final = ("/Users", "/Groups", "/Bulk")
_END_OF_HEAD: Final = b"\r\n\r\n"
_UNKNOWN: Final = 2**63
"""A position after the end of any request."""


class EarlyRejector:
    """Inspects unparsed requests that have an API key, to the endpoints of resources."""

    def __init__(
        self, prefix: str, authenticator: Authenticator, admission: AdmissionControl
    ) -> None:
        self._requests = PlainRequests(tuple(prefix + each for each in _RESOURCES))
        self._authenticator = authenticator
        self._admission = admission
        self._responses: dict[tuple[RejectReason, str], bytes] = {}

    def watch(self) -> "WatchedConnection":
        """Start to watch a new connection."""
        return WatchedConnection(self, self._admission)

    def caller(self, data: bytes) -> Caller | None:
        """The caller of a plain request with a cached key; None for all other bytes."""
        authorization = self._requests.authorization(data)
        return None if authorization is None else self._authenticator.cached_caller(authorization)

    def response(self, error: RejectedError) -> bytes:
        """The rejection as bytes; cached, because only Retry-After differs."""
        kind = (error.reason, error.headers["Retry-After"])
        response = self._responses.get(kind)
        if response is None:
            if len(self._responses) >= MAX_RESPONSES:
                self._responses.clear()
            is_rate = error.reason is RejectReason.RATE_LIMIT
            headers = self._admission.exhausted_headers if is_rate else {}
            response = self._responses[kind] = raw_error_response(error, **headers)
        return response


class WatchedConnection:
    """Tracks whether a connection is idle: all bytes received belong to answered requests.

    Only the bytes that an idle connection receives are inspected, because they are the start of a
    request. The connection becomes idle again if the parsed request ends where the received bytes
    end. Otherwise the next bytes may belong to any request, and it is never inspected again.
    """

    def __init__(self, rejector: EarlyRejector, admission: AdmissionControl) -> None:
        self._rejector = rejector
        self._admission = admission
        self._pending = ""
        """The organization of an admitted request that has not reached its handler."""
        self._is_idle = True
        self._incomplete_head = b""
        self._received = self._end_of_head = self._end_of_request = 0
        self._is_answered = False

    def reject(self, data: bytes, *, may_respond: bool = True) -> bytes | None:
        """The complete response to a rejected request; None if the bytes are to be parsed."""
        if not self._is_idle:
            self._received += len(data)
            self._find_end_of_head(self._incomplete_head + data if self._incomplete_head else b"")
            return None
        is_inspected = may_respond and self._admission.is_overloaded
        response = self._inspect(data) if is_inspected else None
        if response is None:
            self._received = len(data)
            self._is_idle = self._is_answered = False
            self._find_end_of_head(data)
        return response

    def _find_end_of_head(self, received: bytes) -> None:
        """Find the end of the head in all bytes received of a request."""
        if not received:
            return
        end = received.find(_END_OF_HEAD)
        # The parser skips empty lines before a request (RFC 9112 section 2.2).
        is_usual = end > 0 and received[0] not in b"\r\n"
        self._end_of_head = end + len(_END_OF_HEAD) if is_usual else _UNKNOWN
        is_incomplete = end < 0 and len(received) < MAX_HEAD_BYTES
        self._incomplete_head = received if is_incomplete else b""

    def _inspect(self, data: bytes) -> bytes | None:
        caller = self._rejector.caller(data)
        if caller is None:
            return None
        error = self._admission.rejection(caller.organization_id)
        if error is None:
            self._pending = caller.organization_id
            self._admission.add_pending(self._pending)
            return None
        self._admission.count_rejection(error, caller.organization_id)
        return self._rejector.response(error)

    def head_parsed(self, body_length: int | None) -> None:
        """The parser has read a head; `body_length` is None if the head does not say it."""
        self._end_of_request = self._end_of_head + (
            _UNKNOWN if body_length is None else body_length
        )
        self._is_answered = False

    def request_started(self) -> None:
        """An admitted request has reached its handler, or never will."""
        if self._pending:
            self._admission.remove_pending(self._pending)
            self._pending = ""

    def response_written(self) -> None:
        """A response is written; `settle` is called next."""
        self._is_answered = True

    def settle(self, *, nothing_left: bool) -> None:
        """Check whether the connection is idle, after the parser ran or a response was written.

        `nothing_left` says that the body of the last request is complete, and that no parsed
        request waits for its handler.
        """
        if not nothing_left:
            return
        self.request_started()  # admitted bytes that are not a request never reach a handler
        if self._is_answered and not self._is_idle:
            self._is_idle = self._received == self._end_of_request
            if not self._is_idle:
                self._end_of_head, self._incomplete_head = _UNKNOWN, b""
