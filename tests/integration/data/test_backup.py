"""A backup is taken during writes; when the cluster is lost, a new one is restored from it."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.clock import system_clock
from chassis.database import migrations
from chassis.database.pool import Database
from deploy.local.postgres import Cluster
from tests.support.data.backups import BackupStorage
from tests.support.keysvc.replicas import MovableClock, running_replica
from tests.support.usersvc.change_calls import read_snapshot, watch_changes
from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.services import open_channel
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, refused, update
from tests.support.waiting import pace
from usersvc.store.changes import ChangeStore

ROOT = Path(__file__).resolve().parents[3]
DATABASES = {"users": "usersvc", "keys": "keysvc"}
PASSWORD = "of the test"


@dataclass
class Region:
    """The databases of a region and their writers."""

    cluster: Cluster
    written: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, database: str) -> str:
        return self.cluster.url(database, f"{database}_owner", PASSWORD)

    async def write_people(self, organization_id: str, name: str) -> None:
        """Create people, add them to groups, change and delete some, until `stop` is set."""
        async with open_channel(self.url("users"), system_clock) as channel:
            users, groups = UserServiceStub(channel), GroupServiceStub(channel)
            while not self.stop.is_set():
                self.written += 1
                user = await create(users, f"{name}-{self.written}", organization_id)
                group = await create_group(groups, "team", [user.id], organization_id)
                await update(users, user.id, active=False, organization_id=organization_id)
                if self.written % 3 == 0:
                    await delete(users, user.id, organization_id=organization_id)
                assert group.id

    async def write_keys(self) -> None:
        """Generate and revoke keys until `stop` is set."""
        async with running_replica(self.url("keys"), MovableClock()) as keysvc:
            acme = await keysvc.create()
            while not self.stop.is_set():
                self.written += 1
                await keysvc.revoke((await keysvc.generate(acme)).key)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Run writers of every kind during the block; at its end all writes are acknowledged."""
        self.stop.clear()
        async with asyncio.TaskGroup() as tasks:
            for organization_id in (ACME, GLOBEX):
                for number in range(2):
                    tasks.create_task(self.write_people(organization_id, f"writer{number}"))
            tasks.create_task(self.write_keys())
            yield
            self.stop.set()


async def digests(cluster: Cluster) -> dict[str, str]:
    """A digest of each table of each database."""
    found = {}
    for database in DATABASES:
        db = await asyncpg.connect(cluster.url(database, f"{database}_owner", PASSWORD))
        # Unlogged tables are in no backup.
        tables = await db.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relpersistence = 'p'"
            " AND relnamespace = 'public'::regnamespace"
        )
        for (table,) in tables:
            rows = (
                f"SELECT count(*) || md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {table} t"
            )
            found[f"{database}.{table}"] = await db.fetchval(rows)
        await db.close()
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account may traverse. pytest's folders belong to one account."""
    with tempfile.TemporaryDirectory(prefix="backup-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture
def storage(folder: Path) -> BackupStorage:
    return BackupStorage(folder / "storage")


@pytest.fixture
def clusters(folder: Path) -> Iterator[list[Cluster]]:
    """A list of clusters, which are stopped before the folder is deleted."""
    started: list[Cluster] = []
    yield started
    for cluster in started:
        cluster.stop()


@pytest.fixture
async def region(folder: Path, storage: BackupStorage, clusters: list[Cluster]) -> Region:
    cluster = Cluster(folder / "first", settings=storage.archive_settings)
    clusters.append(cluster)
    await asyncio.to_thread(cluster.start)
    storage.create(cluster)
    for database, service in DATABASES.items():
        url = cluster.create_role_and_database(database, f"{database}_owner", PASSWORD)
        await migrations.apply(url, migrations.read(ROOT / service / "store" / "migrations"))
    return Region(cluster)


def forget(cluster: Cluster, url: str, organization_id: str) -> None:
    """Delete the wrong organization: the mistake that a restore undoes."""
    script = ROOT / "deploy/sql/forget_organization.sql"
    psql = [cluster.programs.path("psql"), "--quiet", "--no-psqlrc", "--file", str(script)]
    command = [*psql, "--set", f"organization={organization_id}", url]
    subprocess.run(command, check=True, capture_output=True)


def destroy(cluster: Cluster) -> None:
    """Kill the server and delete its data, as if the machine were lost."""
    assert cluster.pid is not None
    os.killpg(cluster.pid, signal.SIGKILL)
    cluster.stop()
    shutil.rmtree(cluster.data)


async def test_destroyed_cluster_is_restored_with_archived_data(
    region: Region, storage: BackupStorage, clusters: list[Cluster], folder: Path
):
    first = region.cluster
    password = (first.folder / "superuser.password").read_text()
    async with region.writing():
        await asyncio.to_thread(storage.take_base_backup, first)
    digests_before_mistake = await digests(first)
    time_before_mistake = first.query("SELECT clock_timestamp();")
    await asyncio.to_thread(forget, first, region.url("users"), GLOBEX)
    async with region.writing():
        await pace(0.5)  # for writes that the archive must contain
    final_digests = await digests(first)
    await asyncio.to_thread(storage.archive_wal, first)
    async with open_channel(region.url("users"), system_clock) as channel:
        await create(UserServiceStub(channel), "too-late-for-the-archive")
        async with watch_changes(ChangeServiceStub(channel)) as reader:
            token = reader.token
    await asyncio.to_thread(destroy, first)

    restored = await asyncio.to_thread(storage.restore, folder / "restored", password)
    clusters.append(restored)
    restored_to_time = await asyncio.to_thread(
        storage.restore, folder / "earlier", password, time_before_mistake
    )
    clusters.append(restored_to_time)

    assert region.written > 50
    assert await digests(restored) == final_digests
    assert await digests(restored_to_time) == digests_before_mistake != final_digests
    await assert_followers_must_restart(Region(restored).url("users"), token)


async def assert_followers_must_restart(url: str, token: str) -> None:
    """Old feed tokens are rejected, and a snapshot has the restored data."""
    async with Database(url, "operator", pool_size=1) as database:
        await ChangeStore(database).renew()
    async with open_channel(url, system_clock) as channel:
        changes, users = ChangeServiceStub(channel), UserServiceStub(channel)
        with refused(Reason.REASON_INVALID_CHANGE_TOKEN, grpc.StatusCode.INVALID_ARGUMENT):
            async with watch_changes(changes, token):
                pass
        snapshot = await read_snapshot(changes)
        async with watch_changes(changes, snapshot.token) as reader:
            ann = await create(users, "ann")
            following_changes = await reader.until(1)
    db = await asyncpg.connect(url)
    rows = await db.fetch("SELECT user_id FROM users WHERE organization_id = $1", ACME)
    await db.close()
    assert {*snapshot.users, ann.id} == {str(row["user_id"]) for row in rows}
    assert [change.resource_id for change in following_changes] == [ann.id]
