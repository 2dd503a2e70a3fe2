"""Programs that the tests of deploy/ run: locked in .venv-deploy, or installed on the machine."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPLOY_TOOLS = ROOT / ".venv-deploy" / "bin"


def deploy_tool(name: str) -> str:
    """The path of a program that requirements/deploy.txt locks; skips the test if it is missing."""
    path = DEPLOY_TOOLS / name
    if not path.exists():
        pytest.skip(f"{name} is missing: `make deploy-tools` installs it", allow_module_level=True)
    return str(path)


def system_tool(name: str) -> str:
    """The path of a program of the machine; skips the test if it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed on this machine", allow_module_level=True)
    return path
