"""Measures the requests of a small organization while a snapshot of the large one is read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import grpc
from cloudacademy.users.v1 import changes_pb2

from tools.benchmarks.client import Bound, Sample
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.rounds import Plan, Question, Side, summarize
from tools.benchmarks.organizations.tenant import Tenants

_METHOD: Final = "/cloudacademy.users.v1.ChangeService/ReadSnapshot"

Add = Callable[[Result], None]


class _Received:
    """The messages of a snapshot. They are decoded later, so that this costs no time meanwhile."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.started = asyncio.Event()

    def users(self) -> int:
        """The number of users that arrived."""
        decode = changes_pb2.ReadSnapshotResponse.FromString
        return sum(len(decode(each).users) for each in self.messages)


async def measure(tenants: Tenants, plan: Plan, add: Add) -> None:
    """Measure rounds with and without a snapshot in turns."""
    small = tenants.small
    side = Side("while it is read", small, small.work.get())
    alone = Side("without", small, small.work.get())
    await alone.run(Bound(10**9, plan.seconds / 2))
    rounds: list[tuple[tuple[Sample, float], tuple[Sample, float]]] = []
    users, seconds = 0, 0.0
    for _ in range(plan.rounds):
        async with _reading(tenants) as received:
            received.messages.clear()
            beside = await side.run(Bound(10**9, 2 * plan.seconds))
            users += received.users()
        seconds += beside[0].seconds
        rounds.append((beside, await alone.run(Bound(10**9, 2 * plan.seconds))))
    add(summarize(Question(topics.SNAPSHOT, "get of another organization"), side, alone, rounds))
    for what, samples in (
        ("p99 while it is read", [each for (each, _), _ in rounds]),
        ("p99 without", [each for _, (each, _) in rounds]),
    ):
        p99 = sorted(each.percentile(99) for each in samples)[len(samples) // 2]
        add(Reading(topics.SNAPSHOT, what, round(p99, 1), "ms"))
    add(Reading(topics.SNAPSHOT, "users of the snapshot", round(users / seconds), "/s"))


@asynccontextmanager
async def _reading(tenants: Tenants) -> AsyncIterator[_Received]:
    """Read a snapshot of the large organization until the block ends."""
    received = _Received()
    address = f"127.0.0.1:{tenants.stack.service_port('usersvc')}"
    request = changes_pb2.ReadSnapshotRequest(organization_id=str(tenants.large_id))

    async def read() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            method = channel.unary_stream(
                _METHOD, request_serializer=changes_pb2.ReadSnapshotRequest.SerializeToString
            )
            while True:  # a small snapshot ends before the round
                async for message in method(request):
                    received.messages.append(message)
                    received.started.set()

    reading = asyncio.create_task(read())
    try:
        async with asyncio.timeout(60):
            await received.started.wait()
        yield received
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
