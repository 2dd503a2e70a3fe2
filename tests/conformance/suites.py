"""The public SCIM compliance suites from PyPI; each returns a list of checks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 100
_ACCEPT = "--i-accept-side-effects"
_BIN = Path(sys.executable).parent
_SCIM2_LINE = re.compile(r"(SUCCESS|ERROR|CRITICAL|SKIPPED|ACCEPTABLE|DEVIATION)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a suite. The outcome is `passed`, `skipped` or the suite's word for a failure."""

    name: str
    outcome: str
    detail: str


def scim2_cli(url: str, token: str) -> list[Check]:
    """scim2-cli `test`: checks discovery, then each resource type that discovery lists."""
    lines = _run("scim2", "--url", url, "test", SCIM_CLI_HEADERS=f"Authorization: Bearer {token}")
    checks: list[Check] = []
    for line in lines.splitlines():
        match = _SCIM2_LINE.match(line)
        if match:
            outcome = {"SUCCESS": "passed", "SKIPPED": "skipped"}.get(match[1], match[1].lower())
            checks.append(Check(match[2], outcome, ""))
        elif checks:
            last = checks[-1]
            checks[-1] = Check(last.name, last.outcome, f"{last.detail} {line.strip()}".strip())
    return checks


def scim_sanity(url: str, token: str) -> list[Check]:
    """scim-sanity `probe`: strict checks of each resource type's life cycle, search and errors."""
    output = _run("scim-sanity", "probe", url, "--token", token, "--json-output", _ACCEPT)
    return [
        Check(
            f"{result['phase'].partition(' — ')[2]}: {result['name']}",
            {"pass": "passed", "skip": "skipped"}.get(result["status"], result["status"]),
            result.get("message") or "",
        )
        for result in json.loads(output)["results"]
    ]


SUITES: Mapping[str, Callable[[str, str], list[Check]]] = {
    "scim2-cli": scim2_cli,
    "scim-sanity": scim_sanity,
}


def _run(*command: str, **environment: str) -> str:
    result = subprocess.run(
        [_BIN / command[0], *command[1:]],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return result.stdout
