"""The portal's pages in Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, expect

from tests.support.chromium import chromium
from tests.support.portal_organization import PortalOrganization
from tests.support.stack import Stack

TIMEOUT_MS = 15_000
expect.set_options(timeout=TIMEOUT_MS)

SIZES = {"desktop": (1280, 860), "phone": (360, 740)}


@asynccontextmanager
async def opened_page(
    tenant: Stack, size: str = "desktop", scheme: str = "light", *, script: bool = True
) -> AsyncIterator[Page]:
    """A page in a new browser; the test fails on script errors, CSP violations and other hosts."""
    width, height = SIZES[size]
    async with chromium() as browser:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            base_url=tenant.base_url,
            java_script_enabled=script,
        )
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        violations: list[str] = []
        page.on("pageerror", lambda error: violations.append(str(error)))
        page.on(
            "console",
            lambda message: (
                violations.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((tenant.base_url, "data:"))
                else violations.append(request.url)
            ),
        )
        yield page
        assert violations == []


async def sign_in(page: Page, portal_org: PortalOrganization) -> None:
    await page.goto(f"/login/link#{await portal_org.create_link_token()}")
    await page.get_by_role("button", name="Sign in as").click()
    await page.get_by_role("heading", name="Dashboard").wait_for()


async def clipboard_text(page: Page) -> str:
    return await page.evaluate("navigator.clipboard.readText()")
