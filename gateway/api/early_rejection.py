"""Turns requests away before they are parsed, when there are too many.

The endpoint refuses them just the same (gateway.limits.admission); here it costs a fifth. It
matters when most of what comes is turned away, and only then is it looked at.
"""

from typing import Final

from gateway.auth.authenticator import Authenticator, Caller
from gateway.http.plain_request import MAX_HEAD_BYTES, PlainRequests
from gateway.http.responses import as_http
from gateway.limits.admission import AdmissionControl
from gateway.limits.rejections import RejectedError, RejectReason

MAX_ANSWERS: Final = 100
_RESOURCES: Final = ("/Users", "/Groups", "/Bulk")
_END_OF_HEAD: Final = b"\r\n\r\n"
_NEVER: Final = 2**63
"""Farther than any request goes."""


class EarlyRejector:
    """Stands before the parser, and looks at requests for resources that come with a key."""

    def __init__(self, prefix: str, authenticator: Authenticator, gate: AdmissionControl) -> None:
        self._requests = PlainRequests(tuple(prefix + each for each in _RESOURCES))
        self._authenticator = authenticator
        self._gate = gate
        self._answers: dict[tuple[RejectReason, str], bytes] = {}

    def visitor(self) -> "WatchedConnection":
        """Whoever is at the other end of a new connection."""
        return WatchedConnection(self, self._gate)

    def caller(self, data: bytes) -> Caller | None:
        """Who sent a request, if it is one to look at and that can be told at once."""
        authorization = self._requests.authorization(data)
        return None if authorization is None else self._authenticator.known(authorization)

    def ready(self, error: RejectedError) -> bytes:
        """The answer as bytes; there are few, apart from the seconds to wait."""
        kind = (error.why, error.headers["Retry-After"])
        ready = self._answers.get(kind)
        if ready is None:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            more = self._gate.nothing_left if error.why is RejectReason.RATE else {}
            ready = self._answers[kind] = as_http(error, **more)
        return ready


class WatchedConnection:
    """One connection, as the doorman sees it: who asks, and whether it is at rest.

    It is while all that has come are requests that have their answers. Each of them has
    to end where what came ended; after one that did not, nobody knows any more what
    belongs to what, and the connection is never looked at again.
    """

    def __init__(self, doorman: EarlyRejector, gate: AdmissionControl) -> None:
        self._doorman = doorman
        self._gate = gate
        self._let_in = ""
        self._rests = True
        self._begin = b""
        self._came = self._head = self._ends = 0
        self._written = False

    def turned_away(self, data: bytes, *, may_answer: bool = True) -> bytes | None:
        """The whole answer to what came; None has it parsed."""
        if not self._rests:
            self._came += len(data)
            self._find_head(self._begin + data if self._begin else b"")
            return None
        answer = self._answer(data) if may_answer and self._gate.is_pressed else None
        if answer is None:
            self._came = len(data)
            self._rests = self._written = False
            self._find_head(data)
        return answer

    def _find_head(self, begin: bytes) -> None:
        """Find where the head of a request ends, in all that has come of it."""
        if not begin:
            return
        end = begin.find(_END_OF_HEAD)
        # The parser passes over empty lines before a request (RFC 9112 section 2.2).
        self._head = end + len(_END_OF_HEAD) if end > 0 and begin[0] not in b"\r\n" else _NEVER
        self._begin = begin if end < 0 and len(begin) < MAX_HEAD_BYTES else b""

    def _answer(self, data: bytes) -> bytes | None:
        caller = self._doorman.caller(data)
        if caller is None:
            return None
        error = self._gate.refusal(caller.organization_id)
        if error is None:
            self._let_in = caller.organization_id
            self._gate.comes(self._let_in)
            return None
        self._gate.turned_away(error, caller.organization_id)
        return self._doorman.ready(error)

    def asked(self, length: int | None) -> None:
        """The parser has read a head; the length of the body is what it says, None if nothing."""
        self._ends = self._head + (_NEVER if length is None else length)
        self._written = False

    def came(self) -> None:
        """What was let in is where it is answered, or never will be."""
        if self._let_in:
            self._gate.came(self._let_in)
            self._let_in = ""

    def answered(self) -> None:
        """An answer is written; `settle` follows."""
        self._written = True

    def settle(self, *, nothing_left: bool) -> None:
        """See whether it rests, when the parser has read what came or an answer is written.

        `nothing_left` tells whether the body of the last request is all there, and no
        request waits that was read.
        """
        if not nothing_left:
            return
        self.came()  # what was let in and became no request never will be answered
        if self._written and not self._rests:
            self._rests = self._came == self._ends
            if not self._rests:
                self._head, self._begin = _NEVER, b""
