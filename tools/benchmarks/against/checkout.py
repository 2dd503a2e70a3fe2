"""Prepares the two trees to compare, each as a folder from which a region can start.

Both are copies with paths of equal length, so that neither an edit of the working tree nor the
length of a path affects the result.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.stack import ROOT

LOCK = Path("requirements/dev.txt")


class CheckoutError(Exception):
    """A tree cannot be prepared; the text says why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout with its generated code, and a Python with its requirements."""

    name: str
    """The commit, or 'working tree' and the commit below it."""
    folder: Path
    python: Path


def working_tree(folder: Path) -> Tree:
    """Copy the working tree with its changes: tracked files and untracked ones not ignored."""
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")
    _remove(folder)
    for name in (each.decode() for each in listed if each):
        source, target = ROOT / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    changed = "+" if _git("status", "--porcelain") else ""
    commit = _git("rev-parse", "--short", "HEAD").decode().strip()
    return _ready(f"working tree ({commit}{changed})", folder)


def commit(ref: str, folder: Path) -> Tree:
    """Unpack a commit. Raises CheckoutError for a name that git does not know."""
    output = _git("rev-parse", "--short", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    revision = output.decode().strip()
    _remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = _git("archive", revision)
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive, check=True)
    return _ready(revision, folder)


def _ready(name: str, folder: Path) -> Tree:
    python = _environment(folder)
    _generate_protos(python, folder)
    return Tree(name, folder, python)


def _environment(folder: Path) -> Path:
    """This Python if the lock files are equal, else one with the requirements of the tree.

    Environments are stored beside the trees, one per lock file.
    """
    lock = folder / LOCK
    if not lock.is_file():
        raise CheckoutError(f"{folder} has no {LOCK}")
    if lock.read_bytes() == (ROOT / LOCK).read_bytes():
        return Path(sys.executable)
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    environment = folder.parent / f"environment-{digest}"
    python, complete = environment / "bin" / "python", environment / ".complete"
    if not complete.exists():
        _remove(environment)
        _run(sys.executable, "-m", "venv", str(environment))
        quiet = ("--quiet", "--disable-pip-version-check")
        hashed = ("--require-hashes", "--only-binary", ":all:")
        _run(str(python), "-m", "pip", "install", *quiet, *hashed, "--requirement", str(lock))
        complete.touch()
    return python


def _generate_protos(python: Path, folder: Path) -> None:
    (folder / "build").mkdir(exist_ok=True)
    protos = sorted(str(each) for each in (folder / "protos").rglob("*.proto"))
    if not protos:
        raise CheckoutError(f"{folder} has no protos")
    includes = f"-I{folder / 'protos'}"
    outputs = [f"--{kind}={folder / 'build'}" for kind in ("python_out", "grpc_python_out")]
    _run(str(python), "-m", "grpc_tools.protoc", includes, *outputs, *protos)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _git(*words: str) -> bytes:
    return _run("git", "-C", str(ROOT), *words)


def _run(*command: str) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise CheckoutError(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        output = done.stderr.decode(errors="replace").strip()
        raise CheckoutError(f"{' '.join(command[:4])} … failed: {output}")
    return done.stdout
