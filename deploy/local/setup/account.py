"""Chooses the account for PostgreSQL, which refuses root: root runs it as an unprivileged one."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes.parent_death_signal import with_parent_death_signal

UNPRIVILEGED = "nobody"


class AccountError(Exception):
    """PostgreSQL cannot be run from this account; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that owns the data and runs the server; `prefix` switches a command to that user."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def command(self, arguments: Sequence[str], on_parent_death: signal.Signals) -> list[str]:
        """The command line that runs a program as this account; it ends when this process ends."""
        if not self.prefix:
            return with_parent_death_signal(arguments, on_parent_death)
        # A change of user clears the parent-death signal, so setpriv sets it afterwards.
        return [*self.prefix, "--pdeathsig", on_parent_death.name, *arguments]

    def own(self, path: Path) -> None:
        if self.prefix:
            os.chown(path, self.uid, self.gid)


def choose_account(data: Path, needed: Sequence[Path]) -> Account:
    """The current account; for root the owner of existing data, else `nobody`.

    `needed` are the directories and files that the account must be able to enter and read.
    Raises AccountError for root where setpriv (util-linux) is missing.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if sys.platform != "linux":
        raise AccountError(
            "PostgreSQL does not run as root; start this from an ordinary user's account."
        )
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise AccountError(
            "PostgreSQL does not run as root, and setpriv, which would run it as the user "
            f"'{UNPRIVILEGED}', is missing: install util-linux, or start this as an ordinary user."
        )
    uid, gid = _unprivileged(data)
    prefix = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    if _can_enter(prefix, needed):
        return Account(uid, gid, prefix)
    return Account(uid, gid, (*prefix, *_ENTER_ANYWHERE))


# For a checkout or an environment below a directory that only root may enter: the account keeps
# CAP_DAC_OVERRIDE. PostgreSQL checks with access(2) whether it may execute its own binary, and
# access(2) ignores the capability for any user id but 0 unless no_setuid_fixup is set.
_ENTER_ANYWHERE = (
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)


def _unprivileged(data: Path) -> tuple[int, int]:
    if data.exists():
        owner = data.stat()
        if owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid


def _can_enter(prefix: Sequence[str], needed: Sequence[Path]) -> bool:
    """Whether the account can use all of `needed`; tested by running as that account."""
    check = 'for p do test -r "$p" || test -d "$p" -a -x "$p" || exit 1; done'
    paths = [str(path) for path in needed]
    return subprocess.run([*prefix, "sh", "-c", check, "sh", *paths], check=False).returncode == 0
