"""keysvc as a separate process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.forked_commands import run_forked

ROOT = Path(__file__).resolve().parents[3]


class Keysvc:
    """`python -m keysvc …` with an environment."""

    def __init__(self, url: str) -> None:
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "build"))),
            "KEYSVC_DATABASE_URL": url,
            "KEYSVC_REGION": "us",
            "KEYSVC_LISTEN": "127.0.0.1:0",
        }

    def run(self, *arguments: str) -> tuple[int, str, str]:
        result = subprocess.run(
            [sys.executable, "-m", "keysvc", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr

    def run_json(self, *arguments: str) -> Any:
        """Run a command that must succeed, and return the JSON document that it prints."""
        code, output, errors = self.run(*arguments)
        assert (code, errors) == (0, "")
        assert output.count("\n") == 1
        return json.loads(output)

    def serve(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "keysvc", "serve"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class KeysvcCommands(Keysvc):
    """The command line of keysvc, without the time that its imports take."""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return run_forked("keysvc", self.environment, *arguments)


def token_of_new_organization(url: str) -> str:
    """A key of a new organization with an active integration."""
    keysvc = Keysvc(url)
    created = keysvc.run_json("create-organization", "--display-name", "Acme")
    organization_id = created["organization"]["id"]
    keysvc.run_json("activate-integration", organization_id)
    return str(keysvc.run_json("generate-key", organization_id, "--created-by", "ops")["token"])
