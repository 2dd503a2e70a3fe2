"""SingleFlight: concurrent calls for one key share a call, but not their exceptions."""

import asyncio
import traceback

import pytest

from chassis.concurrency.single_flight import SingleFlight


class Service:
    """A call that ends when the test sets `end`."""

    def __init__(self) -> None:
        self.calls = 0
        self.end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.calls += 1
        await self.end.wait()
        if self.error is not None:
            raise self.error
        return "value"


@pytest.fixture
def service() -> Service:
    return Service()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrent_calls_for_one_key_share_one_call(service: Service):
    flight: SingleFlight[str, str] = SingleFlight()
    waiting = [asyncio.create_task(flight.run("key", service)) for _ in range(20)]
    other = asyncio.create_task(flight.run("other", service))
    await settle()
    service.end.set()

    assert await asyncio.gather(*waiting, other) == ["value"] * 21
    assert service.calls == 2


async def test_each_caller_gets_its_own_exception(service: Service):
    flight: SingleFlight[str, str] = SingleFlight()
    service.error = ValueError("no")
    waiting = [asyncio.create_task(flight.run("key", service)) for _ in range(50)]
    await settle()
    service.end.set()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors}

    assert [str(error) for error in errors] == ["no"] * 50
    assert len(set(map(id, errors))) == 50
    assert len(lengths) == 1


async def test_shared_call_continues_when_one_caller_is_cancelled(service: Service):
    flight: SingleFlight[str, str] = SingleFlight()
    first, second = (asyncio.create_task(flight.run("key", service)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    service.end.set()

    assert await second == "value"
    assert first.cancelled()


async def test_call_after_the_end_of_another_is_not_shared(service: Service):
    flight: SingleFlight[str, str] = SingleFlight()
    service.end.set()
    for _ in range(3):
        await flight.run("key", service)

    assert service.calls == 3
    assert not flight._running
