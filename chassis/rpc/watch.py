"""The streams of Watch RPCs, by which callers keep a cache of what organizations have."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from chassis.database.notifications import Event, Heartbeat, Notification, NotificationFeed


class OrganizationChange(Protocol):
    """Something of this organization has changed."""

    organization_id: str


class WatchResponse(Protocol):
    """A message of the stream: its contract has these fields, of which one is set."""

    @property
    def reset(self) -> Message: ...
    @property
    def heartbeat(self) -> Message: ...
    @property
    def organization_change(self) -> OrganizationChange: ...


Response = TypeVar("Response", bound=WatchResponse)


async def watch(
    feed: NotificationFeed, response: Callable[[], Response]
) -> AsyncGenerator[Response, None]:
    """Yield `reset`, then each notification of the feed, whose payload is an organization's id.

    Close it with `contextlib.aclosing`, so that the subscription ends with the stream. Refuses
    DatabaseUnavailable while the feed is disconnected, and when it loses its connection.
    """
    # Subscribe first, so that changes after `reset` are not lost.
    with feed.subscribe() as subscription:
        first = response()
        first.reset.SetInParent()
        yield first
        async for event in subscription.events():
            yield _message(response(), event)


def _message(message: Response, event: Event) -> Response:
    match event:
        case Heartbeat():
            message.heartbeat.SetInParent()
        case Notification(organization_id):
            message.organization_change.organization_id = organization_id
    return message
