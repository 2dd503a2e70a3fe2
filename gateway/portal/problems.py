"""TemplateRenderer that say why there is no page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.backend.errors import RefusedError
from gateway.limits.rejections import RejectedError, RejectReason


@dataclass(frozen=True, slots=True)
class Problem:
    """What kept a page from is_active shown: a heading, and what to do."""

    status: int
    title: str
    text: str


class ProblemError(Exception):
    """There is no page, but a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


NOT_FOUND: Final = Problem(
    404, "There is no such page", "The address may be mistyped, or what it led to is gone."
)
NOT_ALLOWED: Final = Problem(
    405, "This page cannot be used that way", "Go back and use the page's own links and buttons."
)
FORGED: Final = Problem(
    403,
    "This form is out of date",
    "It was opened in another session, or by another site. Nothing was changed. Go back, reload "
    "the page and try again.",
)
NO_KEY: Final = Problem(404, "There is no such key", "No API key of your organization has this id.")
TOO_MANY: Final = Problem(
    429,
    "Too many pages were opened",
    "Your organization, or this address, opens pages faster than we show them. Nothing was "
    "changed. Wait a few seconds, then reload.",
)
BUSY: Final = Problem(
    503,
    "Too many pages are opened at the moment",
    "Nothing was changed. Wait a few seconds, then reload.",
)
NO_FILE: Final = Problem(
    503,
    "Too many files are sent at the moment",
    "An organization gets two files with its log at once, and all together get eight. Wait until "
    "one of them is here, then ask for it again.",
)
NO_FORM: Final = Problem(
    503,
    "Too many forms are sent at the moment",
    "Nothing was changed. Go back, wait a few seconds, then send the form again.",
)
TOO_LARGE: Final = Problem(413, "That is too much", "The form holds more than we take.")
# 400, as RFC 7644 section 3.4.2.4 answers a result that is larger than the server is willing to
# process. Nothing is forbidden (403), no request content is too large (413, RFC 9110 section
# 15.5.14), and nothing failed (500).
TOO_MUCH_TO_SHOW: Final = Problem(
    400,
    "This person has too many values to show",
    "The page would be too large. An API client can read the person with SCIM.",
)
LOST: Final = Problem(
    400, "The form did not arrive", "The connection ended before the form did. Send it again."
)
AWAY: Final = Problem(
    503,
    "This page is not available at the moment",
    "A part of Cloud Academy does not answer. People go on is_active provisioned or wait in Entra; "
    "nothing is lost. Reload the page in a moment.",
)
FAULT: Final = Problem(
    500,
    "Something went wrong on our side",
    "It has been noted. If it happens again, tell Cloud Academy's support the request id below.",
)

_BY_WHY: Final[Mapping[RejectReason, Problem]] = {
    RejectReason.PAGES_RATE: TOO_MANY,
    RejectReason.PAGES_FULL: BUSY,
    RejectReason.FILES_FULL: NO_FILE,
    RejectReason.FORMS_FULL: NO_FORM,
}

_BY_STATUS: Final[Mapping[int, Problem]] = {
    403: FORGED,
    404: NOT_FOUND,
    405: NOT_ALLOWED,
    413: TOO_LARGE,
    503: AWAY,
}

_BY_REASON: Final[Mapping[str, Problem]] = {
    "USER_NOT_FOUND": Problem(
        404, "This person is not here", "Nobody in your organization has this id, or not any more."
    ),
    "GROUP_NOT_FOUND": Problem(
        404, "This group is not here", "No group of your organization has this id, or not any more."
    ),
    "KEY_NOT_FOUND": NO_KEY,
    "ACTIVITY_NOT_FOUND": Problem(
        404,
        "This entry is not in the log",
        "Entries are kept for 30 days. It may have ended with them.",
    ),
    "INVALID_PAGE_TOKEN": Problem(
        404, "This part of the list is gone", "The list has changed. Begin it anew."
    ),
    "INTEGRATION_NOT_ACTIVE": Problem(
        409,
        "The integration is inactive",
        "Keys are generated for active integrations only. Activate it first.",
    ),
    "FILTER_TOO_COSTLY": Problem(
        400, "That search took too long", "Search for more of the name, or for the whole userName."
    ),
}


def of_rejection(error: RejectedError) -> Problem:
    """The problem of whoever has to come again later."""
    return _BY_WHY.get(error.why, BUSY)


def of_status(status: int) -> Problem:
    """The problem of an HTTP status."""
    return _BY_STATUS.get(status) or (FAULT if status >= 500 else NOT_FOUND)


def of_refusal(error: RefusedError) -> Problem:
    """The problem behind what a service refused."""
    known = _BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.status == 503:
        return AWAY
    return NOT_FOUND if error.status < 500 else FAULT
