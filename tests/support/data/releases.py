"""The previous release: the code before the newest migration, from git's history."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from chassis.database import migrations
from chassis.database.migrations import Migration

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Release:
    """The code of a commit; `later_migrations` are those that this code does not have."""

    commit: str
    folder: Path
    migrations: list[Migration]
    later_migrations: list[Migration]

    @property
    def python_path(self) -> str:
        return f"{self.folder}:{self.folder / 'build'}"


def git(*arguments: str) -> bytes:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    assert result.returncode == 0, f"git {' '.join(arguments)}: {result.stderr.decode()}"
    return result.stdout


def release_before(service: str, folder: Path) -> Release:
    """The code of the commit before the newest migration of a service."""
    all_migrations = migrations.read(ROOT / service / "store" / "migrations")
    # Until 2026-11 the migrations were directly in the service's folder.
    newest = all_migrations[-1].name
    commit = _before(f"{service}/store/migrations/{newest}", f"{service}/migrations/{newest}")
    archive = git("archive", commit, service, "chassis", "protos")
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive, check=True)
    _generate(folder)
    names = {path.name for path in (folder / service).rglob("migrations/*.sql")}
    known = [migration for migration in all_migrations if migration.name in names]
    return Release(commit, folder, known, all_migrations[len(known) :])


def _before(*paths: str) -> str:
    """The first parent of the commit that added any of the files; HEAD if it has none of them."""
    if not git("ls-tree", "HEAD", *paths):
        return "HEAD"
    added = git(
        "log", "--first-parent", "-m", "--diff-filter=A", "--format=%H",
        "HEAD", "--", *paths,
    ).split()  # fmt: skip
    parents = git("rev-list", "--parents", "--max-count=1", added[-1].decode()).split()[1:]
    shallow = git("rev-parse", "--is-shallow-repository").strip() == b"true"
    assert parents or not shallow, "a shallow clone has no release before: git fetch --unshallow"
    return parents[0].decode()


def _generate(folder: Path) -> None:
    (folder / "build").mkdir()
    protos = sorted(map(str, (folder / "protos").rglob("*.proto")))
    outputs = [f"--{kind}_out={folder / 'build'}" for kind in ("python", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder / 'protos'}", *outputs]
    subprocess.run([*command, *protos], check=True, capture_output=True)
