"""The queue of one stream of notifications."""

import pytest

from chassis.database.notifications import (
    QUEUE_SIZE,
    Event,
    Heartbeat,
    Notification,
    Subscription,
)
from chassis.errors import DatabaseUnavailable

ACME, INITECH = Notification("acme"), Notification("initech")


async def receive(subscription: Subscription, count: int) -> list[Event]:
    events = []
    async for event in subscription.events():
        events.append(event)
        if len(events) == count:
            break
    return events


async def test_stream_sends_events_in_order():
    subscription = Subscription()
    for event in (ACME, INITECH, ACME):
        subscription.offer(event)

    assert await receive(subscription, 3) == [ACME, INITECH, ACME]


async def test_heartbeats_do_not_queue():
    subscription = Subscription()
    for event in (Heartbeat(), Heartbeat(), ACME, Heartbeat(), INITECH):
        subscription.offer(event)

    assert await receive(subscription, 3) == [Heartbeat(), ACME, INITECH]


async def test_stream_with_a_full_queue_ends_instead_of_skipping_events():
    subscription = Subscription()
    for _ in range(QUEUE_SIZE + 1):
        subscription.offer(ACME)
    subscription.offer(INITECH)

    assert await receive(subscription, 1) == []


async def test_stream_is_refused_when_the_feed_loses_its_connection():
    subscription = Subscription()
    subscription.offer(ACME)
    subscription.end(refused=True)

    with pytest.raises(DatabaseUnavailable):
        await receive(subscription, 1)


async def test_second_end_of_a_stream_has_no_effect():
    subscription = Subscription()
    subscription.end(refused=False)
    subscription.end(refused=True)
    subscription.offer(ACME)

    assert await receive(subscription, 1) == []
