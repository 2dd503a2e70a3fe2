"""PostgreSQL for tests: one temporary cluster per session, one fresh database per test.

The session fixture `postgres_cluster` (tests/conftest.py) is a `TestPostgres`, and `templates`
(tests/integration/conftest.py) has the templates of the services. A test gets a copy::

    @pytest.fixture
    def users_url(templates: Mapping[str, Template]) -> Iterator[str]:
        with templates["usersvc"].database() as url:
            yield url
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.postgres import NOT_DURABLE, Cluster
from tools.chaos.standby import ReplicatedCluster, replicated_cluster

_SHARED_MEMORY: Final = Path("/dev/shm")
_REQUIRED_BYTES: Final = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated database, of which each test gets a copy."""

    cluster: Cluster
    name: str
    owner: str
    password: str

    def fresh(self) -> str:
        """The URL of a new copy, for its owner, which is not a superuser."""
        copy = f"{self.name}_{secrets.token_hex(6)}"
        self.cluster.clone_database(self.name, copy, self.owner)
        return self.cluster.url(copy, self.owner, self.password)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new copy, which is dropped at the end together with connections to it."""
        url = self.fresh()
        try:
            yield url
        finally:
            self.cluster.drop_database(url.rpartition("/")[2])


class TestPostgres:
    """The temporary cluster of one test session; each session has its own."""

    __test__ = False  # not a test class, despite its name

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._templates: dict[str, Template] = {}

    def template(self, name: str, migrate: Callable[[str], object]) -> Template:
        """The template `name`; the first call creates it and runs `migrate(url)`.

        `migrate` runs as the role that owns the database, as in production, and must have closed
        its connections when it returns.
        """
        if name not in self._templates:
            owner, password = f"{name}_owner", secrets.token_urlsafe(16)
            migrate(self.cluster.create_role_and_database(name, owner, password))
            self._templates[name] = Template(self.cluster, name, owner, password)
        return self._templates[name]


@contextmanager
def temporary_postgres() -> Iterator[TestPostgres]:
    """Run a cluster in a temporary directory, without durability.

    It is in memory if there is space: creating a database then takes 25 ms, not up to 300.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-test-", dir=_memory_folder()))
    folder.chmod(0o711)
    cluster = Cluster(folder, settings=NOT_DURABLE)
    try:
        cluster.start()
        yield TestPostgres(cluster)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_replicated_postgres() -> Iterator[ReplicatedCluster]:
    """Run a primary and its synchronous standby in a temporary directory, without durability."""
    with tempfile.TemporaryDirectory(prefix="pg-standby-", dir=_memory_folder()) as folder:
        Path(folder).chmod(0o711)
        with replicated_cluster(Path(folder), NOT_DURABLE) as cluster:
            yield cluster


def _memory_folder() -> Path | None:
    """A file system in memory with space for the databases of a session, if there is one."""
    if not os.access(_SHARED_MEMORY, os.W_OK):
        return None
    return _SHARED_MEMORY if shutil.disk_usage(_SHARED_MEMORY).free >= _REQUIRED_BYTES else None
