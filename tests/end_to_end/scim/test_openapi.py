"""The published OpenAPI description, and responses to requests that are generated from it."""

import json
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.openapi import validate
from tests.support.stack import Stack
from tools.fuzz.openapi import drive

EXAMPLES = 5
"""Number of random requests per operation, besides those with boundary values."""


async def test_openapi_description_is_public_valid_and_without_secrets(
    tenant: Stack, browser: Browser
):
    page = await browser.get("/openapi.json")

    document = json.loads(page.text)
    validate(document)
    assert (page.status, page.headers["Content-Type"]) == (200, "application/json")
    assert [server["url"] for server in document["servers"]] == [tenant.url]
    assert tenant.token not in page.text


@pytest.mark.timeout(600)
def test_responses_to_generated_requests_match_the_description(tenant: Stack, tmp_path: Path):
    run = drive(tenant, tmp_path / "schemathesis", 1, examples=EXAMPLES)

    assert run.returncode == 0, run.stdout
    assert "Tested: 22" in run.stdout
    assert '"event":"internal error"' not in tenant.log("gateway")
