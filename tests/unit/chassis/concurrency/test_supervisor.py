"""Supervisor: restarts, delays, readiness and shutdown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import LogCapture

from chassis.concurrency import supervisor as module
from chassis.concurrency.supervisor import MAX_CONSECUTIVE_FAILURES, Supervisor
from chassis.observability.metrics import Metrics
from tests.support.chassis.echoes import until


class RecordingSupervisor(Supervisor):
    """A supervisor without jitter whose log is captured."""

    def __init__(self) -> None:
        self.capture = LogCapture()
        super().__init__(structlog.wrap_logger(None, [self.capture]), jitter=lambda _, high: high)

    @property
    def failures(self) -> list[dict]:
        return [entry for entry in self.capture.entries if entry["event"] == "task failed"]


@pytest.fixture
async def tasks() -> AsyncIterator[RecordingSupervisor]:
    async with RecordingSupervisor() as recorded:
        yield recorded


class Flaky:
    """A task that fails a number of times, then runs."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.failures_left = failures
        self.error = error or ValueError("a secret")
        self.runs = 0
        self.running = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.failures_left:
            self.failures_left -= 1
            raise self.error
        self.running.set()
        await asyncio.Event().wait()


def returning_once() -> Callable[[], Awaitable[None]]:
    flaky = Flaky(1)

    async def run() -> None:
        try:
            await flaky.run()
        except ValueError:
            return

    return run


async def test_failed_task_is_restarted(tasks: RecordingSupervisor):
    flaky = Flaky(2)
    task = tasks.start("flaky", flaky.run)
    await flaky.running.wait()

    assert (task.failures, task.restarts, flaky.runs) == (2, 2, 3)


async def test_failure_is_logged_with_its_traceback_without_its_text(tasks: RecordingSupervisor):
    flaky = Flaky(1, ExceptionGroup("a secret", [KeyError("another secret")]))
    tasks.start("flaky", flaky.run)
    await flaky.running.wait()

    (logged,) = tasks.failures
    assert (logged["task"], logged["error_type"], logged["failures"]) == (
        "flaky",
        "ExceptionGroup",
        1,
    )
    assert "in run" in logged["traceback"]
    assert "builtins.KeyError" in logged["traceback"]
    assert "secret" not in str(logged).replace("self.error = error or", "")


async def test_early_return_of_a_task_is_a_failure(tasks: RecordingSupervisor):
    task = tasks.start("short", returning_once())
    await until(lambda: task.restarts == 1)
    assert tasks.failures[0]["error_type"] == "RuntimeError"


async def test_cancelled_future_inside_a_task_is_a_failure(tasks: RecordingSupervisor):
    flaky = Flaky(1, asyncio.CancelledError())
    task = tasks.start("flaky", flaky.run)
    await flaky.running.wait()
    assert task.failures == 1


async def test_restart_delays_double_up_to_their_limit(
    tasks: RecordingSupervisor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr(module, "MAX_DELAY_SECONDS", 0.004)
    flaky = Flaky(4)
    tasks.start("flaky", flaky.run)
    await flaky.running.wait()
    assert [entry["retry_seconds"] for entry in tasks.failures] == [0.001, 0.002, 0.004, 0.004]


async def test_restart_delay_is_reset_after_a_healthy_run(
    tasks: RecordingSupervisor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HEALTHY_SECONDS", 0.0)
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.001)
    flaky = Flaky(3)
    tasks.start("flaky", flaky.run)
    await flaky.running.wait()
    assert [entry["retry_seconds"] for entry in tasks.failures] == [0.001] * 3


async def test_only_a_failing_required_task_makes_the_process_not_ready(tasks: RecordingSupervisor):
    optional, required = Flaky(MAX_CONSECUTIVE_FAILURES + 1), Flaky(MAX_CONSECUTIVE_FAILURES)
    tasks.start("optional", optional.run)
    await until(lambda: optional.runs > MAX_CONSECUTIVE_FAILURES)
    assert tasks.ready

    tasks.start("required", required.run, is_required=True)
    await required.running.wait()
    assert not tasks.ready


async def test_process_is_ready_after_a_healthy_run_of_a_required_task(
    tasks: RecordingSupervisor, monkeypatch: pytest.MonkeyPatch
):
    required = Flaky(MAX_CONSECUTIVE_FAILURES)
    tasks.start("required", required.run, is_required=True)
    await required.running.wait()
    assert not tasks.ready
    monkeypatch.setattr(module, "HEALTHY_SECONDS", 0.0)
    assert tasks.ready


async def test_second_task_with_the_same_name_is_refused(tasks: RecordingSupervisor):
    tasks.start("one", Flaky(0).run)
    with pytest.raises(ValueError, match="one"):
        tasks.start("one", Flaky(0).run)


async def test_tasks_drain_and_the_last_started_ends_first():
    ended: list[str] = []
    drained = asyncio.Event()

    async def drains() -> None:
        await drained.wait()
        await asyncio.sleep(0)
        ended.append("drains")

    async def runs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("runs")

    async with RecordingSupervisor() as tasks:
        tasks.start("drains", drains, drain_event=drained)
        tasks.start("runs", runs)
        await asyncio.sleep(0)
    assert ended == ["runs", "drains"]


async def test_failure_of_a_draining_task_is_logged_and_the_task_restarted():
    drained = asyncio.Event()
    flaky = Flaky(1)

    async def drains() -> None:
        await drained.wait()
        if flaky.failures_left:
            await flaky.run()

    async with RecordingSupervisor() as tasks:
        task = tasks.start("drains", drains, drain_event=drained)
        await asyncio.sleep(0)
    assert (task.failures, task.restarts) == (1, 1)


async def test_task_that_does_not_drain_in_time_is_cancelled_and_logged(tasks: RecordingSupervisor):
    task = tasks.start("hangs", Flaky(0).run, drain_event=asyncio.Event())
    await task.end(0.01)
    assert tasks.capture.entries[-1]["event"] == "task not drained"


async def test_error_of_a_cancelled_task_is_logged(tasks: RecordingSupervisor):
    async def fails_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    task = tasks.start("fails", fails_at_its_end)
    await asyncio.sleep(0)
    await task.end(0.5)
    assert tasks.failures[-1]["error_type"] == "ValueError"


async def test_failures_and_waiting_tasks_are_metrics(tasks: RecordingSupervisor):
    metrics = Metrics()
    tasks.observe(metrics)
    flaky = Flaky(2)
    tasks.start("flaky", flaky.run)
    await until(lambda: tasks.tasks["flaky"].is_waiting)
    waiting = samples(metrics)["background_task_waiting"]
    await flaky.running.wait()

    assert waiting == 1
    assert samples(metrics) == {
        "background_task_failures_total": 2,
        "background_task_restarts_total": 2,
        "background_task_waiting": 0,
    }


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.labels.get("task") == "flaky"
    }
