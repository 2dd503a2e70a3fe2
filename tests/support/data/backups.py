"""Backups as in production: base backups of the running cluster, and continuous WAL archiving."""

import shutil
import signal
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.postgres import Cluster
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class BackupStorage:
    """Storage outside the cluster: `base` has the base backup, `wal` the archived WAL."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def wal(self) -> Path:
        return self.folder / "wal"

    @property
    def archive_settings(self) -> Mapping[str, str]:
        """The settings of a cluster that archives its WAL here; existing files are not replaced."""
        command = f"test ! -f '{self.wal}/%f' && cp '%p' '{self.wal}/%f'"
        return {"archive_mode": "on", "archive_command": command, "fsync": "off"}

    @property
    def restore_command(self) -> str:
        return f"cp '{self.wal}/%f' '%p'"

    def create(self, cluster: Cluster) -> None:
        """Create the WAL folder for the account of the cluster."""
        self.wal.mkdir(parents=True)
        account = cluster._account()
        for folder in (self.folder, self.wal):
            account.own(folder)

    def take_base_backup(self, cluster: Cluster) -> None:
        """Take a base backup while the cluster runs."""
        account = cluster._account()
        command = [
            cluster.programs.path("pg_basebackup"),
            f"--dbname={cluster.superuser_url}",
            f"--pgdata={self.base}",
            "--wal-method=none",  # the archive has the WAL
            "--checkpoint=fast",
            "--max-rate=16M",  # slow, so that writes happen meanwhile
        ]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        for may_retry in (True, False):
            backup = subprocess.run(
                account.command(command, signal.SIGTERM),
                check=False, capture_output=True, cwd="/", env=environment, timeout=120,
            )  # fmt: skip
            if backup.returncode == 0:
                return
            # A page that is written while it is read looks corrupt; operators retry, too.
            assert may_retry, backup.stderr.decode()
            warnings.warn(f"the backup is repeated: {backup.stderr.decode()}", stacklevel=2)
            shutil.rmtree(self.base, ignore_errors=True)

    def archive_wal(self, cluster: Cluster) -> None:
        """Archive everything committed so far."""
        name = cluster.query("SELECT pg_walfile_name(pg_switch_wal());")
        script = f"SELECT last_archived_wal >= '{name}' FROM pg_stat_archiver;"
        wait_until(lambda: cluster.query(script) == "t", PATIENCE_SECONDS, f"{name} in the archive")

    def restore(self, folder: Path, password: str, until: str = "") -> Cluster:
        """A new cluster from the backup and the archive, optionally only up to a point in time."""
        settings = {
            **self.archive_settings,
            "archive_mode": "off",
            "restore_command": self.restore_command,
        }
        if until:
            settings |= {"recovery_target_time": until, "recovery_target_action": "promote"}
        folder.mkdir()
        folder.chmod(0o711)
        cluster = Cluster(folder, settings=settings)
        (folder / "superuser.password").write_text(password)
        subprocess.run(["cp", "-a", self.base, cluster.data], check=True)
        signal_file = cluster.data / "recovery.signal"
        signal_file.touch()
        cluster._account().own(signal_file)
        cluster.start()
        wait_until(
            lambda: cluster.query("SELECT pg_is_in_recovery();") == "f",
            PATIENCE_SECONDS,
            cluster.log.read_text,
        )
        return cluster
