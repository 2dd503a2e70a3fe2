"""Headless Chromium, and accessibility checks with axe-core."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Chromium from the PATH, or at the path in the environment variable CHROMIUM."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if executable is None:
        pytest.skip("needs Chromium on the PATH or at the path in CHROMIUM")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=executable, args=_OPTIONS)
        yield browser
        await browser.close()


async def assert_accessible(page: Page) -> None:
    """Assert that axe-core finds no violation on a page."""
    results = await Axe().run(page)
    assert results.violations_count == 0, f"{page.url}: {results.generate_report()}"
