"""A PostgreSQL server with a synchronous standby, which can be cut off and promoted."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from deploy.local.postgres import DURABLE, SUPERUSER, Cluster
from deploy.local.region import HOST
from deploy.local.setup.account import choose_account

WAIT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05


_PATIENT: Final[Mapping[str, str]] = {"wal_receiver_timeout": "0"}
"""Settings of a standby that does not reconnect by itself when it is cut off."""


class ReplicatedCluster:
    """A primary and its synchronous standby."""

    @classmethod
    def of(cls, primary: Cluster, folder: Path, log: Path) -> "ReplicatedCluster":
        """A running primary and a standby in a folder, which is not started yet."""
        return cls(primary, Cluster(folder, log, _PATIENT))

    def __init__(self, primary: Cluster, standby: Cluster) -> None:
        self.primary = primary
        self.standby = standby

    def start_standby(self) -> None:
        """Copy the running primary, and let its commits wait for the copy from now on."""
        _copy(self.primary, self.standby)
        self.standby.start()
        self.primary.query("ALTER SYSTEM SET synchronous_standby_names = '*';")
        self.primary.query("SELECT pg_reload_conf();")
        deadline = time.monotonic() + WAIT_SECONDS
        while self.primary.query(_IS_SYNCHRONOUS) != "t":
            assert time.monotonic() < deadline, "the standby does not connect"
            time.sleep(POLL_SECONDS)

    def cut_off_standby(self) -> None:
        """Stop sending changes to the standby; commits of the primary wait from now on."""
        self._signal_sender(signal.SIGSTOP)

    def reconnect_standby(self) -> None:
        """Send changes to the standby again; waiting commits end."""
        self._signal_sender(signal.SIGCONT)

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, with the changes that it has received."""
        self.kill_primary()
        self.standby.query("SELECT pg_promote(wait => true);")

    def fail_over_at_same_address(self) -> None:
        """Fail over, and serve at the address of the primary, as clients find it by its name."""
        address = self.primary.port
        self.fail_over()
        self.standby.stop()
        self.standby.port = address
        self.standby.start()
        assert self.standby.port == address, "another program took the primary's port"

    def kill_primary(self) -> None:
        """Shut the primary down immediately, which is a crash but frees its shared memory."""
        assert self.primary.pid is not None
        processes = psutil.Process(self.primary.pid).children()
        os.kill(self.primary.pid, signal.SIGQUIT)
        self._signal_sender(signal.SIGKILL)  # it may be stopped
        psutil.wait_procs(processes, WAIT_SECONDS)
        self.primary.stop()

    def waiting_commits(self) -> int:
        """The number of commits that wait for the standby."""
        return int(self.primary.query(_WAITING))

    def _signal_sender(self, number: signal.Signals) -> None:
        assert self.primary.pid is not None
        for process in psutil.Process(self.primary.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "walsender" in " ".join(process.cmdline()):
                    process.send_signal(number)


@contextmanager
def replicated_cluster(
    folder: Path, settings: Mapping[str, str] = DURABLE
) -> Iterator[ReplicatedCluster]:
    """Run a primary and its synchronous standby below a folder."""
    primary = Cluster(folder / "primary", settings=settings)
    standby = Cluster(folder / "standby", settings={**settings, **_PATIENT})
    replicated = ReplicatedCluster(primary, standby)
    try:
        primary.start()
        replicated.start_standby()
        yield replicated
    finally:
        standby.stop()
        if primary.running:
            replicated.kill_primary()


def _copy(primary: Cluster, standby: Cluster) -> None:
    """Create the standby's data and its connection to the primary."""
    standby.folder.mkdir(parents=True)
    standby.folder.chmod(0o711)
    password = (primary.folder / "superuser.password").read_text()
    (standby.folder / "superuser.password").touch(mode=0o600)
    (standby.folder / "superuser.password").write_text(password)
    program = Path(primary.programs.path("pg_basebackup"))
    account = choose_account(standby.data, (program, standby.folder))
    standby.data.mkdir(mode=0o700)
    account.own(standby.data)
    command = [
        *(str(program), f"--pgdata={standby.data}", f"--username={SUPERUSER}", "--no-password"),
        *(f"--host={HOST}", f"--port={primary.port}", "--write-recovery-conf"),
        *("--checkpoint=fast", "--no-sync"),
    ]
    subprocess.run(
        account.command(command, signal.SIGTERM),
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGPASSWORD": password.strip()},
        capture_output=True,
        check=True,
    )


_WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep';"
_IS_SYNCHRONOUS: Final = """
SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming');
"""
