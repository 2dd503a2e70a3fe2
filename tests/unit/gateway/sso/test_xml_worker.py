"""Threads for XML: few, and not for as many as ask."""

import asyncio
import threading

import pytest

from gateway.sso.refusals import SignInError
from gateway.sso.xml_worker import XmlWorker


async def test_what_runs_is_bounded_and_the_next_is_refused_at_once():
    worker, go = XmlWorker(threads=1, max_queued=1), threading.Event()
    tasks = [asyncio.create_task(worker.run(go.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(SignInError) as refused:
        await worker.run(go.wait, 10)
    assert refused.value.reason == "busy"

    go.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert await worker.run(lambda: "room again") == "room again"
    worker.close()


async def test_what_a_function_refuses_is_refused():
    def refuse() -> None:
        raise SignInError("expired")

    worker = XmlWorker()
    with pytest.raises(SignInError) as refused:
        await worker.run(refuse)
    assert refused.value.reason == "expired"
    worker.close()


async def test_who_goes_away_makes_room_only_when_the_thread_is_free():
    worker, go = XmlWorker(threads=1, max_queued=0), threading.Event()
    task = asyncio.create_task(worker.run(go.wait, 10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(SignInError):
        await worker.run(go.wait, 10)
    go.set()
    worker.close()
