"""Builds the image from deploy/image/Dockerfile, with a stand-in for its base images.

The real base images come from registries, which tests do not use: a small Debian has their tags.
Wheels are downloaded by hash in advance, so the build itself needs no network.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.k8s.tools import ROOT, system_tool

BASES = (
    "docker.io/library/python:3.11-slim-bookworm",
    "gcr.io/distroless/python3-debian12:nonroot",
)
DEBIAN = Path("/var/tmp/provisioning-stand-in")
"""Cached between runs: it takes almost a minute to build and contains nothing of this project."""
BUILD_SECONDS = 300

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Store:
    """The images and containers of one test session, separate from all others on the machine."""

    folder: Path
    driver: str

    @property
    def options(self) -> tuple[str, ...]:
        root, run = self.folder / "storage", self.folder / "run"
        return ("--root", str(root), "--runroot", str(run), "--storage-driver", self.driver)

    def buildah(self, *arguments: str) -> str:
        """Run a buildah command."""
        return output([system_tool("buildah"), *self.options, *arguments])

    @property
    def podman(self) -> list[str]:
        """The first words of a podman command line."""
        engine = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "error")
        return [system_tool("podman"), *self.options, *engine]

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> Finished:
        """Run a program in the image until it ends, without network."""
        line = [*self.podman, "run", "--rm", "--network", "none", *HARDENED, *options]
        return subprocess.run(
            [*line, image, *command], capture_output=True, text=True, check=False, timeout=120
        )


# Without --ulimit podman would raise limits, which a sandbox may forbid.
HARDENED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL")
HARDENED += ("--security-opt", "no-new-privileges")
HARDENED += ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


def driver(folder: Path) -> str:
    """The storage driver: overlay if the kernel permits it, else vfs, which copies files."""
    below, above, work, merged = (folder / name for name in ("below", "above", "work", "merged"))
    for layer in (below, above, work, merged):
        layer.mkdir(parents=True)
    layers = f"lowerdir={below},upperdir={above},workdir={work}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        return "vfs"
    output(["umount", str(merged)])
    return "overlay"


def need_tools() -> None:
    """Skip the test if images cannot be built here."""
    for name in ("buildah", "podman", "runc", "debootstrap", "ip"):
        system_tool(name)
    if os.geteuid() != 0:
        pytest.skip("building an image needs root: its files belong to other users")


def stand_in_bases(store: Store, folder: Path) -> None:
    """Tag a small Debian as the base images; only the one for the build has pip."""
    if not DEBIAN.exists():
        _make_debian()
    build, runtime = BASES
    container = store.buildah("from", "scratch").strip()
    store.buildah("copy", "--quiet", container, str(DEBIAN), "/")
    store.buildah("commit", "--quiet", container, runtime)
    # Debian keeps the wheel outside the module.
    bundled = Path(subprocess.__file__).parent / "ensurepip" / "_bundled"
    wheel = next(Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled).glob("pip-*.whl"))
    site = folder / "site"
    shutil.unpack_archive(wheel, site, "zip")
    store.buildah("copy", "--quiet", container, str(site), "/usr/lib/python3/dist-packages")
    store.buildah("commit", "--quiet", container, build)
    store.buildah("rm", container)


def _make_debian() -> None:
    temporary = DEBIAN.with_name(f"{DEBIAN.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    command = [system_tool("debootstrap"), "--variant=minbase"]
    output([*command, "--include=python3,ca-certificates", "bookworm", str(temporary)])
    for folder in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(temporary / folder, ignore_errors=True)
    temporary.rename(DEBIAN)


def wheels(folder: Path) -> Path:
    """Download all wheels of the image's lock files, checked by hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
    command += ["--only-binary", ":all:", "--dest", str(folder)]
    for lock in ("runtime", "image"):
        output([*command, "--requirement", str(ROOT / f"requirements/{lock}.txt")])
    return folder


def build(store: Store, wheelhouse: Path, tag: str, *options: str) -> str:
    """Build the image as a release does, without network."""
    configuration = wheelhouse.with_name("pip.conf")
    configuration.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    store.buildah(
        *("build", "--quiet", "--isolation", "chroot", "--pull-never", "--timestamp", "0"),
        *("--volume", f"{wheelhouse}:/wheels:ro"),
        *("--volume", f"{configuration}:/etc/pip.conf:ro"),
        *("--file", str(ROOT / "deploy/image/Dockerfile"), "--tag", tag),
        *("--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc"),
        *(*options, str(ROOT)),
    )
    return tag


def output(command: Sequence[str]) -> str:
    """The standard output of a command that must succeed."""
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
    )
    assert result.returncode == 0, f"{' '.join(command)}:\n{result.stdout}\n{result.stderr}"
    return result.stdout
