"""The thread pool for XML has a bounded queue."""

import asyncio
import threading

import pytest

from gateway.sso.refusals import SignInError
from gateway.sso.xml_worker import XmlWorker


async def test_worker_refuses_immediately_when_its_queue_is_full():
    worker, finish = XmlWorker(threads=1, max_queued=1), threading.Event()
    tasks = [asyncio.create_task(worker.run(finish.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(SignInError) as refused:
        await worker.run(finish.wait, 10)
    assert refused.value.reason == "busy"

    finish.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert await worker.run(lambda: "free again") == "free again"
    worker.close()


async def test_worker_passes_on_the_error_of_a_function():
    def refuse() -> None:
        raise SignInError("expired")

    worker = XmlWorker()
    with pytest.raises(SignInError) as refused:
        await worker.run(refuse)
    assert refused.value.reason == "expired"
    worker.close()


async def test_cancelled_call_keeps_its_slot_until_the_thread_is_free():
    worker, finish = XmlWorker(threads=1, max_queued=0), threading.Event()
    task = asyncio.create_task(worker.run(finish.wait, 10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(SignInError):
        await worker.run(finish.wait, 10)
    finish.set()
    worker.close()


def test_function_that_outlives_the_event_loop_reports_nothing(caplog):
    worker, finish = XmlWorker(threads=1, max_queued=0), threading.Event()

    async def begin_and_cancel() -> None:
        task = asyncio.create_task(worker.run(finish.wait, 10))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begin_and_cancel())
    finish.set()
    worker._threads.shutdown(wait=True)
    assert caplog.records == []
