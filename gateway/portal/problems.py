"""The texts of error pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.backend.errors import RefusedError
from gateway.limits.rejections import RejectedError, RejectReason


@dataclass(frozen=True, slots=True)
class Problem:
    """An error page: its HTTP status, its heading, and what to do."""

    status: int
    title: str
    text: str


class ProblemError(Exception):
    """Raised by a view to show an error page instead of its own page."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


NOT_FOUND: Final = Problem(
    404, "Page not found", "Check the address. The page may have been moved or deleted."
)
NOT_ALLOWED: Final = Problem(
    405, "This action isn't available", "Go back and use the links and buttons on the page."
)
INVALID_FORM: Final = Problem(
    403,
    "This form has expired",
    "It belongs to another session or was sent from another site. Nothing was changed. Go back, "
    "reload the page and try again.",
)
KEY_NOT_FOUND: Final = Problem(
    404, "API key not found", "Your organization has no API key with this ID."
)
TOO_MANY_REQUESTS: Final = Problem(
    429,
    "Too many requests",
    "Your organization or your network opened too many pages in a short time. Nothing was "
    "changed. Wait a few seconds, then reload the page.",
)
BUSY: Final = Problem(
    503,
    "The portal is busy",
    "Too many pages are being opened right now. Nothing was changed. Wait a few seconds, then "
    "reload the page.",
)
TOO_MANY_DOWNLOADS: Final = Problem(
    503,
    "Too many downloads",
    "An organization can download two log files at a time, and all organizations together eight. "
    "Wait until a download has finished, then try again.",
)
TOO_MANY_FORMS: Final = Problem(
    503,
    "Too many forms are being sent",
    "Nothing was changed. Go back, wait a few seconds, then send the form again.",
)
FORM_TOO_LARGE: Final = Problem(
    413, "The form is too large", "Nothing was changed. Go back, shorten the values and try again."
)
# 400, as in RFC 7644 section 3.4.2.4 for a result that is larger than the server is willing to
# process. No other status fits: nothing is forbidden (403), the request content is not too large
# (413, RFC 9110 section 15.5.14), and nothing failed (500).
PERSON_TOO_LARGE: Final = Problem(
    400,
    "This person has too much data to show",
    "The page would be too large. Use an API client to read this person through SCIM.",
)
INCOMPLETE_FORM: Final = Problem(
    400,
    "The form was not received completely",
    "The connection was lost while the form was being sent. Send it again.",
)
UNAVAILABLE: Final = Problem(
    503,
    "This page is temporarily unavailable",
    "A Cloud Academy service is not responding. Provisioning continues, or Entra retries it later; "
    "no data is lost. Reload the page in a moment.",
)
INTERNAL_ERROR: Final = Problem(
    500,
    "Something went wrong on our side",
    "We have logged the error. If it happens again, contact Cloud Academy support and include the "
    "request ID below.",
)

_BY_REJECTION: Final[Mapping[RejectReason, Problem]] = {
    RejectReason.PAGE_RATE_LIMIT: TOO_MANY_REQUESTS,
    RejectReason.NO_PAGE_SLOT: BUSY,
    RejectReason.NO_EXPORT_SLOT: TOO_MANY_DOWNLOADS,
    RejectReason.NO_FORM_MEMORY: TOO_MANY_FORMS,
}

_BY_STATUS: Final[Mapping[int, Problem]] = {
    403: INVALID_FORM,
    404: NOT_FOUND,
    405: NOT_ALLOWED,
    413: FORM_TOO_LARGE,
    503: UNAVAILABLE,
}

_BY_REASON: Final[Mapping[str, Problem]] = {
    "USER_NOT_FOUND": Problem(
        404,
        "Person not found",
        "Nobody in your organization has this ID. The person may have been deleted.",
    ),
    "GROUP_NOT_FOUND": Problem(
        404,
        "Group not found",
        "No group in your organization has this ID. The group may have been deleted.",
    ),
    "KEY_NOT_FOUND": KEY_NOT_FOUND,
    "ACTIVITY_NOT_FOUND": Problem(
        404,
        "Log entry not found",
        "Log entries are deleted after 30 days.",
    ),
    "INVALID_PAGE_TOKEN": Problem(
        404, "This page of the list has expired", "Go back to the first page of the list."
    ),
    "INTEGRATION_NOT_ACTIVE": Problem(
        409,
        "The integration is inactive",
        "Activate the integration first, then generate a key.",
    ),
    "FILTER_TOO_COSTLY": Problem(
        400, "The search took too long", "Enter more of the name, or the complete userName."
    ),
}


def of_rejection(error: RejectedError) -> Problem:
    """The error page for a request over a rate limit, or without a free slot."""
    return _BY_REJECTION.get(error.reason, BUSY)


def of_status(status: int) -> Problem:
    """The error page for an HTTP status."""
    return _BY_STATUS.get(status) or (INTERNAL_ERROR if status >= 500 else NOT_FOUND)


def of_refusal(error: RefusedError) -> Problem:
    """The error page for a service's refusal."""
    known = _BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.status == 503:
        return UNAVAILABLE
    return NOT_FOUND if error.status < 500 else INTERNAL_ERROR
