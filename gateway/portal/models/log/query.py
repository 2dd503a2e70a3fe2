"""Searches of the provisioning log, as query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from cloudacademy.users.v1 import activity_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.log.sentences import ACTIONS
from gateway.portal.models.search import search_text

PAGE_SIZE: Final = 50
_UNLIMITED: Final = 10**9
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
    start: date | None = None
    """The first and last day, in UTC."""
    end: date | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether the search has any condition."""
        return bool(self._parameters)

    @property
    def query_string(self) -> str:
        """The query string of the first page of this search."""
        return _query_string(self._parameters)

    def page_query_string(self, page_token: str) -> str:
        """The query string of another page of this search."""
        return _query_string({**self._parameters, "page": page_token})

    @property
    def _parameters(self) -> dict[str, str]:
        """The parameters of the search that are given."""
        days = {"from": self.start, "to": self.end}
        return {
            name: value
            for name, value in (
                ("q", self.text),
                ("action", self.action),
                ("result", self.result),
                *((name, day.isoformat()) for name, day in days.items() if day),
            )
            if value
        }

    def request(self, organization_id: str, page_size: int = PAGE_SIZE) -> pb.ListActivitiesRequest:
        """The request for this search."""
        return pb.ListActivitiesRequest(
            organization_id=organization_id,
            text=self.text,
            actions=ACTIONS.get(self.action, ("", ()))[1],
            result=_RESULTS.get(self.result, pb.ListActivitiesRequest.RESULT_UNSPECIFIED),
            page_size=page_size,
            page_token=self.page,
            start_time=_midnight(self.start),
            end_time=_midnight(self.end, days=1),
        )


def log_query(parameters: Mapping[str, str]) -> LogQuery:
    """Parse query parameters."""
    action, result = parameters.get("action", ""), parameters.get("result", "")
    return LogQuery(
        text=search_text(parameters),
        action=action if action in ACTIONS else "",
        result=result if result in _RESULTS else "",
        page=parameters.get("page", ""),
        start=_day(parameters.get("from", "")),
        end=_day(parameters.get("to", "")),
    )


def max_entries(parameters: Mapping[str, str]) -> int:
    """The most entries of a downloaded file, `limit`; practically unlimited by default."""
    text = parameters.get("limit", "")
    valid = text.isascii() and text.isdecimal() and len(text) <= 9
    return int(text) or _UNLIMITED if valid else _UNLIMITED


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def _midnight(day: date | None, days: int = 0) -> Timestamp | None:
    """The start of a day, or of a later one, in UTC. None if there is no such time."""
    if day is None:
        return None
    try:
        return to_timestamp(datetime.combine(day, time(), UTC) + timedelta(days=days))
    except OverflowError:
        return None


def _query_string(parameters: Mapping[str, str]) -> str:
    return f"?{urlencode(parameters)}" if parameters else ""
