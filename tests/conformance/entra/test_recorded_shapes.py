"""Every request that Entra is known to send, and many that it should not; README.md explains."""

import json
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.entra.transcript import Case, Transcript
from tests.support.stack import Stack

GROUPS_ARE_SERVED = True
FOLDER = Path(__file__).parent
GROUPS = FOLDER / "groups.json"


def recorded() -> list[object]:
    files = [each for each in sorted(FOLDER.glob("*.json")) if GROUPS_ARE_SERVED or each != GROUPS]
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in files
        for case in json.loads(file.read_text())
    ]


@pytest.mark.parametrize("case", recorded())
async def test_recorded_shape(case: Case, tenant: Stack) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        await Transcript(session, tenant.url, tenant.token).play(case)
