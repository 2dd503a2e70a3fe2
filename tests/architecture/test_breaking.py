"""`make lint` finds breaking changes of the protos since main, in any kind of checkout."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).parent / "buf"

PROTO = """syntax = "proto3";
package acme.v1;
service AnnService {
  rpc GetAnn(Ann) returns (Ann);
  rpc FindAnn(Ann) returns (Ann);
}
message Ann {
  string id = 1;
  string name = 2;
}
"""
BROKEN = PROTO.replace("string name", "int32 name")
EXTENDED = PROTO.replace("name = 2;", "name = 2;\n  string title = 3;")
WITHOUT_METHOD = PROTO.replace("  rpc FindAnn(Ann) returns (Ann);\n", "")


@dataclass
class Checkout:
    """A checkout of a test repository."""

    folder: Path

    def git(self, *arguments: str) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_")
        }
        author = ("-c", "user.name=ann", "-c", "user.email=ann@acme.test")
        subprocess.run(
            ("git", *author, *arguments),
            cwd=self.folder,
            env=inherited | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            check=True,
            capture_output=True,
        )

    def write(self, proto: str) -> None:
        (self.folder / "protos/acme/v1/ann.proto").write_text(proto)

    def commit(self, proto: str) -> None:
        self.write(proto)
        self.git("add", ".")
        self.git("commit", "--allow-empty", "-m", "change")

    def clone(self, name: str, *options: str) -> "Checkout":
        folder = self.folder.parent / name
        self.git("clone", "-q", *options, self.folder.as_uri(), str(folder))
        return Checkout(folder)

    def check(self, **environment: str) -> tuple[int, str]:
        """The exit code and the output."""
        result = subprocess.run(
            (self.folder / ".ci/breaking", BUF),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr


@pytest.fixture
def files(tmp_path: Path) -> Checkout:
    """The files of a checkout, without a repository."""
    checkout = Checkout(tmp_path / "main")
    (checkout.folder / "protos/acme/v1").mkdir(parents=True)
    (checkout.folder / ".ci").mkdir()
    shutil.copy(ROOT / "protos/buf.yaml", checkout.folder / "protos")
    shutil.copy(ROOT / ".ci/breaking", checkout.folder / ".ci")
    checkout.write(PROTO)
    return checkout


@pytest.fixture
def main(files: Checkout) -> Checkout:
    """A checkout of main with one commit."""
    files.git("init", "-q", "-b", "main")
    files.commit(PROTO)
    return files


def breaks(result: tuple[int, str]) -> bool:
    code, output = result
    assert "skipped" not in output
    assert (code != 0) == ("on message" in output or "was deleted" in output), output
    return code != 0


def test_branch_is_compared_with_main(main: Checkout):
    main.git("checkout", "-q", "-b", "mine")
    main.commit(EXTENDED)
    assert not breaks(main.check())
    main.commit(BROKEN)
    assert breaks(main.check())
    main.commit(BROKEN)
    assert breaks(main.check())


def test_branch_without_later_additions_of_main_is_not_breaking(main: Checkout):
    main.git("branch", "mine")
    main.commit(EXTENDED)
    main.git("checkout", "-q", "mine")
    main.commit(PROTO)
    assert not breaks(main.check())


def test_uncommitted_change_is_compared_with_last_commit(main: Checkout):
    main.commit(EXTENDED)
    main.write(PROTO)
    assert breaks(main.check())


def test_tip_of_main_is_compared_with_previous_commit(main: Checkout):
    main.commit(EXTENDED)
    assert not breaks(main.check())
    main.commit(PROTO)
    assert breaks(main.check())


def test_merge_is_compared_with_main_before_it(main: Checkout):
    main.git("checkout", "-q", "-b", "mine")
    main.commit(BROKEN)
    main.commit(BROKEN)
    main.git("checkout", "-q", "main")
    main.git("merge", "-q", "--no-ff", "-m", "merge", "mine")
    assert breaks(main.check())


def test_removed_method_breaks_callers(main: Checkout):
    main.commit(WITHOUT_METHOD)
    assert breaks(main.check())


def test_clone_of_branch_finds_main_at_origin(main: Checkout):
    main.git("checkout", "-q", "-b", "mine")
    main.commit(BROKEN)
    main.commit(BROKEN)
    clone = main.clone("clone", "--branch", "mine")
    assert breaks(clone.check())


def test_worktree_is_compared_like_checkout(main: Checkout):
    folder = main.folder.parent / "worktree"
    main.git("worktree", "add", "-q", "-b", "mine", str(folder))
    worktree = Checkout(folder)
    worktree.commit(BROKEN)
    worktree.commit(BROKEN)
    assert breaks(worktree.check())


def test_shallow_clone_with_common_ancestor_is_compared(main: Checkout):
    main.commit(EXTENDED)
    main.commit(PROTO)
    assert breaks(main.clone("shallow", "--depth=2").check())


def test_shallow_clone_without_common_ancestor_is_skipped(main: Checkout):
    main.commit(EXTENDED)
    code, output = main.clone("shallow", "--depth=1").check()
    assert (code, output.partition(" to a commit")[0]) == (
        0,
        "buf breaking: skipped, this shallow clone does not reach back",
    )


def test_shallow_clone_of_branch_and_main_is_compared(main: Checkout):
    main.git("checkout", "-q", "-b", "mine")
    main.commit(PROTO)
    main.commit(BROKEN)
    clone = main.clone("shallow", "--depth=1", "--no-single-branch", "--branch", "mine")
    assert breaks(clone.check())


def test_detached_commit_is_compared_with_previous_one(main: Checkout):
    main.commit(BROKEN)
    main.git("checkout", "-q", "--detach")
    main.git("branch", "-q", "-D", "main")
    assert breaks(main.check())


def test_first_commit_is_not_compared(main: Checkout):
    assert main.check() == (0, "buf breaking: skipped, this is the first commit.\n")


def test_files_without_history_are_skipped(files: Checkout):
    code, output = files.check(GIT_CEILING_DIRECTORIES=str(files.folder.parent))
    assert (code, output[:56]) == (0, "buf breaking: skipped, there is no git history here (fat")


def test_files_in_foreign_checkout_are_not_compared_with_it(main: Checkout):
    inner = Checkout(main.folder / "inner")
    shutil.copytree(main.folder / "protos", inner.folder / "protos")
    shutil.copytree(main.folder / ".ci", inner.folder / ".ci")
    assert inner.check() == (
        0,
        "buf breaking: skipped, these files are not the root of a git checkout.\n",
    )
