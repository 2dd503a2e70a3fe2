"""The examples of docs/internal-api.md work, and its table of refusals is complete."""

import asyncio
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import grpc
from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.rpc.status import from_rpc_error
from tests.support.usersvc.serving import ROOT, usersvc_process
from tests.support.usersvc.user_calls import ACME, create
from tests.support.waiting import eventually

DOCUMENT = (ROOT / "docs/internal-api.md").read_text()
REASONS = ROOT / "protos/cloudacademy/errors/v1/errors.proto"
INSERT_USERS = """
    INSERT INTO users (organization_id, create_time, update_time, user_name)
    SELECT $1, now(), now(), 'user' || number FROM generate_series(1, 250) AS number
"""


async def run_example(users_url: str, folder: Path, organization_id: str) -> list[str]:
    """The output of the document's Python example, run as the service `billing`."""
    example, _ = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    with usersvc_process(users_url, folder) as service:
        files = service.files("billing")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", example),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "build"),
                "TARGET": f"dns:///{service.target}",
                "ORGANIZATION_ID": organization_id,
                "TLS_AUTHORITY": str(files.authority),
                "TLS_KEY": str(files.key),
                "TLS_CERTIFICATE": str(files.certificate),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().splitlines()


async def test_python_example_lists_all_users(
    users_url: str, db: asyncpg.Connection, tmp_path: Path
):
    await db.execute(INSERT_USERS, ACME)
    lines = await run_example(users_url, tmp_path, ACME)
    assert [line.split()[1] for line in lines] == [f"user{number}" for number in range(1, 251)]


async def test_python_example_reads_the_reason_of_a_refusal(users_url: str, tmp_path: Path):
    lines = await run_example(users_url, tmp_path, "acme")
    assert lines == ["refused: INVALID_FIELD {'field': 'organization_id'}"]


class Copy:
    """A consumer's copy of the users, with the methods that the document's example calls."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.is_complete = asyncio.Event()

    def token(self) -> str:
        return ""

    def clear(self) -> None:
        self.users.clear()

    def fill(self, part: changes_pb2.ReadSnapshotResponse) -> None:
        self.users |= {user.id for user in part.users}

    def apply(self, changes: Iterable[changes_pb2.Change], token: str) -> None:
        self.users |= {change.resource_id for change in changes}
        if len(self.users) == 2:
            self.is_complete.set()


async def test_follow_example_keeps_its_copy_through_feed_renewal(
    users: UserServiceStub, changes: ChangeServiceStub, db: asyncpg.Connection
):
    _, example = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names = {"asyncio": asyncio, "grpc": grpc, "pb": changes_pb2, "ACME": ACME}
    names["reason"] = lambda error: from_rpc_error(error).reason
    exec(example, names)  # runs the document's own example
    ann, copy = await create(users, "ann"), Copy()

    following = asyncio.create_task(names["follow"](copy, changes))
    await eventually(lambda: copy.users == {ann.id})
    async with asyncio.timeout(20):
        await db.execute("UPDATE change_feed SET feed_id = gen_random_uuid()")  # as after a restore
        bob = await create(users, "bob")
        await copy.is_complete.wait()
    following.cancel()

    assert copy.users == {ann.id, bob.id}


def test_table_of_refusals_has_each_reason_with_its_status():
    documented = {
        reason: status
        for status, reasons in re.findall(r"^\| `(\w+)` \| (`.+?`) \| ", DOCUMENT, re.MULTILINE)
        for reason in re.findall(r"`(\w+)`", reasons)
    }
    contract = re.findall(
        r"// ([A-Z_]+): (?:.+\n(?:  //.+\n)*)  REASON_(\w+) =", REASONS.read_text()
    )
    assert documented == {reason: status for status, reason in contract}
