"""The streams of Watch RPCs, which tell callers when the data that they cache has changed."""

from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from chassis.database.notifications import Heartbeat, Notification, NotificationFeed

Response = TypeVar("Response")


async def watch(
    feed: NotificationFeed,
    *,
    reset: Response,
    heartbeat: Response,
    notification: Callable[[str], Response],
) -> AsyncGenerator[Response, None]:
    """Yield `reset`, then the messages for the events of a feed.

    `notification` converts a notification's payload to a message. Close the stream with
    `contextlib.aclosing`, so that its subscription ends with it. Refuses DatabaseUnavailable while
    the feed is disconnected, and when it loses its connection.
    """
    # Subscribe first, so that changes after `reset` are not lost.
    with feed.subscribe() as subscription:
        yield reset
        async for event in subscription.events():
            match event:
                case Heartbeat():
                    yield heartbeat
                case Notification(payload):
                    yield notification(payload)
