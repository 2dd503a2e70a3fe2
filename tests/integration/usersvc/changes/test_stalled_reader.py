"""Snapshot readers that stop reading, over real connections with gRPC's flow control."""

import asyncio

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub

from tests.support.clocks import StoppedClock
from tests.support.usersvc.change_calls import read_snapshot
from tests.support.usersvc.services import open_port
from tests.support.usersvc.user_calls import ACME, refused
from tests.support.waiting import eventually
from usersvc.rpc.changes import SNAPSHOTS, STREAM_SECONDS

SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1_024)]
"""Options of a client with small HTTP/2 windows: the server can send little in advance."""
USERS = 2_000
SECONDS = 2.0
SHORT_STREAMS = dict.fromkeys(STREAM_SECONDS, SECONDS)
OPEN_SNAPSHOTS = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"


@pytest.fixture
async def many_users(db: asyncpg.Connection) -> None:
    """Create enough users that a snapshot does not fit into the buffers of a connection."""
    await db.execute(
        """
        INSERT INTO users (organization_id, create_time, update_time, user_name, title)
        SELECT $1, now(), now(), 'u' || number, repeat('x', 1000)
          FROM generate_series(1, $2) AS number
        """,
        *(ACME, USERS),
    )


async def final_status(call: grpc.aio.UnaryStreamCall) -> grpc.StatusCode:
    """The final status of a stream that is read to its end."""
    try:
        async with asyncio.timeout(20):
            while await call.read() is not grpc.aio.EOF:
                pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("limits", [{"write_seconds": SECONDS}, {"stream_seconds": SHORT_STREAMS}])
async def test_stalled_snapshots_end_at_the_limit_and_free_their_slots(
    many_users: None,
    users_url: str,
    clock: StoppedClock,
    db: asyncpg.Connection,
    limits: dict[str, object],
):
    async with (
        open_port(users_url, clock, **limits) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", SMALL_WINDOW) as channel,
    ):
        stub = ChangeServiceStub(channel)
        request = changes_pb2.ReadSnapshotRequest(organization_id=ACME)
        calls = [stub.ReadSnapshot(request) for _ in range(SNAPSHOTS)]
        await asyncio.gather(*(call.read() for call in calls))
        assert await db.fetchval(OPEN_SNAPSHOTS) == SNAPSHOTS
        with refused(Reason.REASON_SNAPSHOTS_BUSY, grpc.StatusCode.UNAVAILABLE):
            await read_snapshot(stub)

        async def no_reader_left() -> bool:
            return await db.fetchval(OPEN_SNAPSHOTS) == 0

        await eventually(no_reader_left)

        found = await read_snapshot(stub)  # the stalled readers have not resumed reading

        assert len(found.users) == USERS
        for call in calls:
            assert await final_status(call) == grpc.StatusCode.DEADLINE_EXCEEDED
