"""The field's own compliance suites, from PyPI, as one list of checks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 100
_BIN = Path(sys.executable).parent
_SCIM2_LINE = re.compile(r"(SUCCESS|ERROR|CRITICAL|SKIPPED|ACCEPTABLE|DEVIATION)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Check:
    """What a suite tried and how it went: `passed`, `skipped`, or its own word for a failure."""

    name: str
    outcome: str
    detail: str


def scim2_cli(url: str, token: str) -> list[Check]:
    """scim2-cli `test`: discovery, then each resource type by what discovery says of it."""
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
    """scim-sanity `probe`: the life of each resource type, search and errors, strictly."""
    output = _run("scim-sanity", "probe", url, "--token", token, "--json-output", ACCEPT)
    return [
        Check(
            f"{result['phase'].partition(' — ')[2]}: {result['name']}",
            {"pass": "passed", "skip": "skipped"}.get(result["status"], result["status"]),
            result.get("message") or "",
        )
        for result in json.loads(output)["results"]
    ]


ACCEPT = "--i-accept-side-effects"

SUITES: Mapping[str, Callable[[str, str], list[Check]]] = {
    "scim2-cli": scim2_cli,
    "scim-sanity": scim_sanity,
}


def _run(*command: str, **environment: str) -> str:
    finished = subprocess.run(
        [_BIN / command[0], *command[1:]],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return finished.stdout
