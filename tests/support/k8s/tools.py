"""The tools that check deploy/: from their own environment or from the machine."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-deploy" / "bin"


def deploy_tool(name: str) -> str:
    """A program of requirements/deploy.txt; skips the test without it."""
    path = ENVIRONMENT / name
    if not path.exists():
        pytest.skip(
            f"{name} is not there: `make deploy-tools` installs it", allow_module_level=True
        )
    return str(path)


def system_tool(name: str) -> str:
    """A program of the machine; skips the test without it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed on this machine", allow_module_level=True)
    return path
