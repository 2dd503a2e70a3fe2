"""`make watch`: print the live change feed of a region, one line per change."""

import asyncio
from pathlib import Path
from typing import Final

import grpc
from cloudacademy.users.v1 import changes_pb2, changes_pb2_grpc

from deploy.local.terminal import is_colourful

BACK_OFF_SECONDS: Final = 0.5
_COLOURS: Final = {"CREATED": "32", "ADDED": "32", "ACTIVATED": "32", "UPDATED": "36"}
_REMOVED_COLOUR: Final = "31"


def read_address(path: Path) -> str | None:
    """The address of usersvc in the running region; None if no region runs."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


async def watch(address: str) -> None:
    """Print all changes from now on until interrupted; reconnects when usersvc restarts."""
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub = changes_pb2_grpc.ChangeServiceStub(channel)
        token = ""
        while True:
            request = changes_pb2.WatchAllChangesRequest(token=token)
            try:
                async for message in stub.WatchAllChanges(request):
                    for change in message.changes:
                        print(render(change, colour=is_colourful()), flush=True)
                    token = message.token
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
                    token = ""  # the feed restarted
                elif error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(BACK_OFF_SECONDS)


def render(change: changes_pb2.Change, *, colour: bool) -> str:
    """A change in one line: time, type, resource id, and its fields or number of members."""
    kind = changes_pb2.Change.Type.Name(change.type).removeprefix("TYPE_")
    count = len(change.user_ids) + len(change.group_ids)
    what = f"{count} members" if count else ", ".join(change.fields)
    time = change.change_time.ToDatetime().strftime("%H:%M:%S")
    label = f"{kind:<16}"
    if colour:
        label = f"\033[{_COLOURS.get(kind.rpartition('_')[2], _REMOVED_COLOUR)}m{label}\033[0m"
    return f"{time}  {label}  {change.resource_id}  {what}".rstrip()
