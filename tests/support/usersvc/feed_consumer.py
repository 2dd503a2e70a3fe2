"""A consumer of the change feed, in its own process so that a test can kill it.

`python -m tests.support.usersvc.feed_consumer TARGET ORGANIZATION FILE` reads a snapshot, then
follows the changes, and appends each processed message as one line to the file. After a restart it
continues after the last complete line.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import grpc
from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from google.protobuf.json_format import MessageToDict

from tests.support.usersvc.change_calls import read_snapshot
from tests.support.waiting import pace

BACK_OFF_SECONDS = 0.1


class Journal:
    """The lines of the file; an incomplete last line is discarded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_bytes() if path.exists() else b""
        complete = text[: text.rfind(b"\n") + 1]
        path.write_bytes(complete)
        self.lines = [json.loads(line) for line in complete.splitlines()]

    def write(self, line: dict[str, object]) -> None:
        with self._path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        self.lines.append(line)


async def follow(target: str, organization_id: str, journal: Journal) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = ChangeServiceStub(channel)
        if not journal.lines:
            state = await read_snapshot(stub, organization_id)
            members = {group: sorted(ids) for group, ids in state.members.items()}
            journal.write(
                {
                    "token": state.token,
                    "users": state.users,
                    "groups": state.groups,
                    "members": members,
                }
            )
        request = changes_pb2.WatchChangesRequest(
            organization_id=organization_id, token=str(journal.lines[-1]["token"])
        )
        async for message in stub.WatchChanges(request):
            changes = [MessageToDict(change) for change in message.changes]
            journal.write({"token": message.token, "changes": changes})


async def main(target: str, organization_id: str, path: str) -> None:
    journal = Journal(Path(path))
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            await follow(target, organization_id, journal)
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
        await pace(BACK_OFF_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
