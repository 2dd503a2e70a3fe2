"""Sessions as rows of the page of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudacademy.users.v1.sessions_pb2 import Session

from gateway.portal.models.times import to_datetime

IDLE_TIMEOUT: Final = timedelta(minutes=30)
"""A session ends this long after its last use (SessionService.GetSession)."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session: whose it is, since when, and when it was used last."""

    session_id: str
    user_id: str
    name: str
    user_name: str
    is_administrator: bool
    started: datetime
    last_used: datetime
    is_own: bool


def session_rows(sessions: Sequence[Session], own_id: str) -> list[SessionRow]:
    """The rows of these sessions, in the same order."""
    return [
        SessionRow(
            session_id=session.session_id,
            user_id=session.user_id,
            name=session.display_name,
            user_name=session.user_name,
            is_administrator=session.administrator,
            started=to_datetime(session.create_time),
            last_used=to_datetime(session.expire_time) - IDLE_TIMEOUT,
            is_own=session.session_id == own_id,
        )
        for session in sessions
    ]
