"""The description that is published, and what comes of sending whatever it lets one send."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tests.support.browser import Browser
from tests.support.stack import Stack
from tools.fuzz.openapi import drive

EXAMPLES = 10
"""Of each operation, besides those at the bounds of what it takes."""


async def test_the_description_is_there_for_everybody_and_has_nothing_secret(
    tenant: Stack, ours: Browser
):
    page = await ours.get("/openapi.json")

    document = json.loads(page.text)
    validate(document)
    assert (page.status, page.headers["Content-Type"]) == (200, "application/json")
    assert [server["url"] for server in document["servers"]] == [tenant.url]
    assert tenant.token not in page.text


@pytest.mark.timeout(600)
def test_whatever_is_sent_is_answered_as_the_description_says(tenant: Stack, tmp_path: Path):
    run = drive(tenant, tmp_path / "schemathesis", 1, examples=EXAMPLES)

    assert run.returncode == 0, run.stdout
    assert "Tested: 22" in run.stdout
    assert '"event":"internal error"' not in tenant.log("gateway")
