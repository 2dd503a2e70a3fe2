"""Requests that Entra is known to send, and many that it should not. See README.md."""

import json
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.entra.transcript import Case, Transcript
from tests.support.stack import Stack

FOLDER = Path(__file__).parent


def cases() -> list[object]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in sorted(FOLDER.glob("*.json"))
        for case in json.loads(file.read_text())
    ]


@pytest.mark.parametrize("case", cases())
async def test_recorded_case(case: Case, tenant: Stack) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        await Transcript(session, tenant.url, tenant.token).play(case)
