"""The public SCIM compliance suites; each returns a list of checks.

Suites from PyPI run as they are. Those that are no Python packages are recorded requests of our
own, in `public_suites/`. scim2-client is a client, which `typed_client` uses for every operation.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.conformance import typed_client
from tests.conformance.transcript import Case, Transcript

SECONDS = 100
RECORDED = Path(__file__).parent / "public_suites"
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


def scim2_client(url: str, token: str) -> list[Check]:
    """scim2-client: every operation of the API, with models that it builds from discovery."""
    return [
        Check(name, "passed" if error is None else "failed", error or "")
        for name, error in typed_client.walk(url, token)
    ]


def okta(url: str, token: str) -> list[Check]:
    """Okta's specification test and CRUD test, which are files for BlazeMeter API monitoring."""
    return asyncio.run(_play(_cases("okta"), url, token))


def scim_validator(url: str, token: str) -> list[Check]:
    """scim-validator, which is a Groovy program."""
    return asyncio.run(_play(_cases("scim_validator"), url, token))


def _cases(suite: str) -> list[Case]:
    cases: list[Case] = json.loads((RECORDED / f"{suite}.json").read_text())
    return cases


async def _play(cases: list[Case], url: str, token: str) -> list[Check]:
    """Play recorded cases, each as a check."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        return [
            Check(case["name"], *await _outcome(Transcript(session, url, token), case))
            for case in cases
        ]


async def _outcome(transcript: Transcript, case: Case) -> tuple[str, str]:
    try:
        await transcript.play(case)
    except pytest.fail.Exception as failure:
        return "failed", str(failure)
    return "passed", ""


SUITES: Mapping[str, Callable[[str, str], list[Check]]] = {
    "scim2-cli": scim2_cli,
    "scim-sanity": scim_sanity,
    "scim2-client": scim2_client,
    "Okta's tests": okta,
    "scim-validator": scim_validator,
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
