"""A service behind PgBouncer with the parameters of the manifests."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chassis.database.pool import Database
from deploy.local.postgres import NOT_DURABLE, Cluster
from tests.support.waiting import eventually
from tools.chaos.pgbouncer import is_installed, manifest_parameters, running_pgbouncer

RECOVERY_SECONDS = 8.0
"""Half of PgBouncer's default pause after a failed login; the manifests set a second."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="pg-pooler-"))
    folder.chmod(0o711)
    running = Cluster(folder / "postgres", settings=NOT_DURABLE)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _is_refused(database: Database, log: Path) -> bool:
    assert not await database.is_available()
    return "(server_login_retry)" in await asyncio.to_thread(log.read_text)


@pytest.mark.skipif(not is_installed(), reason="pgbouncer is not installed")
@pytest.mark.parametrize("service", ["usersvc", "keysvc"])
async def test_database_is_available_soon_after_a_restart_behind_pgbouncer(
    cluster: Cluster, service: str
):
    url = cluster.create_role_and_database("records", "owner", secrets.token_urlsafe(16))
    parameters = manifest_parameters(service)
    with running_pgbouncer(cluster.folder.parent / "pooler", [url], parameters) as (pooled,):
        async with Database(pooled, "test") as database:
            await eventually(database.is_available)
            cluster.stop()
            # Until a login has failed, after which PgBouncer pauses.
            log = cluster.folder.parent / "pooler/log"
            await eventually(partial(_is_refused, database, log))
            cluster.start()
            await eventually(database.is_available, RECOVERY_SECONDS)
