"""The tools of deploy/: from an environment of their own, and from the machine."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-deploy" / "bin"


def locked(name: str) -> str:
    """A program that requirements/deploy.txt brings."""
    path = ENVIRONMENT / name
    if not path.exists():
        pytest.skip(
            f"{name} is not there: `make deploy-tools` installs it", allow_module_level=True
        )
    return str(path)


def installed(name: str) -> str:
    """A program that the machine must bring itself."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed on this machine", allow_module_level=True)
    return path
