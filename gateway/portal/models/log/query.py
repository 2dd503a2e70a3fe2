"""Searches of the provisioning log, as query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.portal.models.log.sentences import ACTIONS
from gateway.portal.models.search import search_text

PAGE_SIZE: Final = 50
_RESULTS: Final[Mapping[str, pb.ListActivitiesRequest.Result]] = {
    "success": pb.ListActivitiesRequest.RESULT_SUCCESS,
    "failure": pb.ListActivitiesRequest.RESULT_REFUSED,
}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A search of the log. Invalid parameters are ignored."""

    text: str = ""
    action: str = ""
    result: str = ""
    page: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether the search has any condition."""
        return bool(self.text or self.action or self.result)

    @property
    def query_string(self) -> str:
        """The query string of the first page of this search."""
        return _query_string(q=self.text, action=self.action, result=self.result)

    def page_query_string(self, page_token: str) -> str:
        """The query string of another page of this search."""
        return _query_string(q=self.text, action=self.action, result=self.result, page=page_token)

    def request(self, organization_id: str, page_size: int = PAGE_SIZE) -> pb.ListActivitiesRequest:
        """The request for this search."""
        return pb.ListActivitiesRequest(
            organization_id=organization_id,
            text=self.text,
            actions=ACTIONS.get(self.action, ("", ()))[1],
            result=_RESULTS.get(self.result, pb.ListActivitiesRequest.RESULT_UNSPECIFIED),
            page_size=page_size,
            page_token=self.page,
        )


def log_query(parameters: Mapping[str, str]) -> LogQuery:
    """Parse query parameters."""
    action, result = parameters.get("action", ""), parameters.get("result", "")
    return LogQuery(
        text=search_text(parameters),
        action=action if action in ACTIONS else "",
        result=result if result in _RESULTS else "",
        page=parameters.get("page", ""),
    )


def _query_string(**parameters: str) -> str:
    nonempty = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(nonempty)}" if nonempty else ""
