"""The worker thread for long computations."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from gateway.http.compute_worker import MAX_QUEUE, ComputeWorker
from gateway.http.cpu_meter import CpuMeter
from gateway.limits.rejections import RejectedError
from gateway.scim.errors import ScimError, invalid_value


@pytest.fixture
def worker() -> Iterator[ComputeWorker]:
    created = ComputeWorker()
    yield created
    created.close()


class Blocked:
    """A computation that runs until `end` is set."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> str:
        self.started.set()
        assert self.end.wait(30)
        return "done"

    async def wait_until_started(self) -> None:
        await asyncio.to_thread(self.started.wait, 30)


async def test_cpu_time_of_a_computation_is_counted(worker: ComputeWorker):
    long, short = CpuMeter(), CpuMeter()
    result = await worker.run("acme", lambda: sum(range(100_000)), long)
    nothing = await worker.run("acme", lambda: None, short)

    assert (result, nothing) == (4_999_950_000, None)
    assert long.seconds > short.seconds > 0


async def test_refused_computation_raises_and_its_cpu_time_is_counted(worker: ComputeWorker):
    def refuse() -> None:
        raise invalid_value("no")

    meter = CpuMeter()
    with pytest.raises(ScimError, match="no"):
        await worker.run("acme", refuse, meter)

    assert meter.seconds > 0


async def test_compute_worker_alternates_between_organizations(worker: ComputeWorker):
    first, order = Blocked(), []
    running = asyncio.create_task(worker.run("acme", first, CpuMeter()))
    await first.wait_until_started()
    others = [
        asyncio.create_task(worker.run(name, lambda name=name: order.append(name), CpuMeter()))
        for name in ("acme", "acme", "acme", "initech")
    ]
    await asyncio.sleep(0)
    first.end.set()
    await asyncio.gather(running, *others)

    assert order.index("initech") <= 1


async def test_one_organization_fills_at_most_half_of_the_queue(worker: ComputeWorker):
    first = Blocked()
    running = asyncio.create_task(worker.run("acme", first, CpuMeter()))
    await first.wait_until_started()
    waiting = [
        asyncio.create_task(worker.run("acme", lambda: None, CpuMeter()))
        for _ in range(MAX_QUEUE // 2)
    ]
    await asyncio.sleep(0)

    with pytest.raises(RejectedError) as refused:
        await worker.run("acme", lambda: None, CpuMeter())
    other_organization = asyncio.create_task(worker.run("initech", lambda: "done", CpuMeter()))
    await asyncio.sleep(0)
    first.end.set()
    await asyncio.gather(running, *waiting)

    assert refused.value.status == 503
    assert await other_organization == "done"


async def test_cancelled_request_keeps_its_slot_until_the_thread_is_free(worker: ComputeWorker):
    first = Blocked()
    running = asyncio.create_task(worker.run("acme", first, CpuMeter()))
    await first.wait_until_started()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    second = asyncio.create_task(worker.run("acme", lambda: "second", CpuMeter()))
    await asyncio.sleep(0)
    waited = not second.done()
    first.end.set()

    assert waited
    assert await second == "second"


async def test_event_loop_runs_during_a_computation(worker: ComputeWorker):
    loop_ran = threading.Event()

    def compute() -> bool:
        for _ in range(100_000):
            if loop_ran.is_set():
                return True
            sum(range(20_000))
        return False

    running = asyncio.create_task(worker.run("acme", compute, CpuMeter()))
    for _ in range(20):
        await asyncio.sleep(0)
    loop_ran.set()

    assert await running


async def test_refused_computation_leaves_no_reference_cycle(worker: ComputeWorker):
    class Document:
        """An object that a computation references."""

    async def refused_computation() -> "weakref.ref[Document]":
        document = Document()

        def refuse() -> None:
            raise invalid_value(f"no {document}")

        async def request() -> None:
            await worker.run("acme", refuse, CpuMeter())

        with contextlib.suppress(ScimError):
            await CpuMeter().measure(request())
        return weakref.ref(document)

    gc.disable()
    try:
        reference = await refused_computation()
        await worker.run("acme", lambda: None, CpuMeter())  # the thread keeps its last computation
        assert reference() is None
    finally:
        gc.enable()
