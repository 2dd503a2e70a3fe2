"""Measures the pages of the portal, and exports of the log."""

import re
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from tests.support.browser import Browser
from tests.support.operators import operator
from tests.support.portal_organization import LOG, create_administrator
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.people import LARGE, RARE_NAME, RARE_PERSON, user_name
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.rounds import Plan
from tools.benchmarks.organizations.tenant import SMALL, Tenants

PAGE_MS: Final = 150.0
SEARCH_MS: Final = 300.0
EXPORT_SECONDS: Final = 10.0
_NEXT_PAGE = re.compile(r'href="(\?[^"]*page=[^"]+)"')

Add = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class _Page:
    what: str
    path: str
    most: float


def _pages(organization: int) -> tuple[_Page, ...]:
    rare = user_name(organization, RARE_PERSON)
    return (
        _Page("dashboard", "/dashboard/", PAGE_MS),
        _Page("log, first page", LOG, PAGE_MS),
        _Page("log, live poll", f"{LOG}/live", PAGE_MS),
        _Page("log, refused requests", f"{LOG}?result=failure", PAGE_MS),
        _Page("log, one action", f"{LOG}?action=delete", PAGE_MS),
        _search("log, 3 characters of a frequent name", LOG, "gar"),
        _search("log, 3 characters of a rare name", LOG, RARE_NAME[:3]),
        _search("log, a rare name", LOG, rare),
        _search("log, an unknown name", LOG, "qqxjz"),
        _search("log, 2 characters", LOG, "an"),
        _search("log, 2 characters that no name begins with", LOG, "q7"),
        _Page("people, first page", "/people/", PAGE_MS),
        _search("people, 3 characters of a frequent name", "/people/", "gar"),
        _search("people, 3 characters of a rare name", "/people/", RARE_NAME[:3]),
        _search("people, an unknown name", "/people/", "qqxjz"),
        _search("people, 2 characters", "/people/", "an"),
    )


def _search(what: str, path: str, text: str) -> _Page:
    return _Page(what, f"{path}?q={quote(text)}", SEARCH_MS)


async def measure(tenants: Tenants, plan: Plan, add: Add) -> None:
    """Measure each page of the large organization; the note has the time of a small one."""
    async with _signed_in(tenants, LARGE) as large, _signed_in(tenants, SMALL) as small:
        for page, other in zip(_pages(LARGE), _pages(SMALL), strict=True):
            before = tenants.large.cpu()
            times, wrong = await _load(large, page.path, plan.repetitions)
            cpu = (tenants.large.cpu() - before) / len(times) * 1_000
            small_times, small_wrong = await _load(small, other.path, plan.repetitions)
            add(
                Reading(
                    topics.PORTAL,
                    page.what,
                    round(statistics.median(times), 1),
                    "ms",
                    page.most,
                    f"CPU {cpu:,.0f}, slowest {max(times):,.0f},"
                    f" small organization {statistics.median(small_times):,.0f}",
                    *_wrong([*wrong, *small_wrong]),
                )
            )
        add(await _later_page(large, plan))
        add(await _unchanged_poll(large, plan))
        for suffix in ("csv", "ndjson"):
            add(await _export(large, suffix))


@asynccontextmanager
async def _signed_in(tenants: Tenants, organization: int) -> AsyncIterator[Browser]:
    """The browser of an administrator of an organization."""
    base_url = tenants.stack.base_url
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=[URL(base_url)])
    async with (
        operator(tenants.stack) as operate,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        browser = Browser(session, base_url)
        organization_id = str(tenants.organizations.ids[organization])
        portal = await create_administrator(operate, tenants.stack, organization_id)
        await portal.sign_in(browser)
        yield browser


async def _load(
    browser: Browser, path: str, repetitions: int, **headers: str
) -> tuple[list[float], list[str]]:
    """Milliseconds of each repetition, and the wrong responses.

    A slow page is loaded less often.
    """
    times: list[float] = []
    wrong = []
    began = time.perf_counter()
    while len(times) < repetitions and (len(times) < 3 or time.perf_counter() - began < 3):
        sent = time.perf_counter()
        page = await browser.get(path, **headers)
        times.append((time.perf_counter() - sent) * 1_000)
        if page.status not in (200, 204, 304):
            wrong.append(f"{path}: {page.status}")
    return times, wrong


async def _later_page(browser: Browser, plan: Plan) -> Reading:
    """The page to which the log's first page links."""
    first = await browser.get(LOG)
    found = _NEXT_PAGE.search(first.text)
    path = LOG + (found[1].replace("&amp;", "&") if found else "?page=missing")
    times, wrong = await _load(browser, path, plan.repetitions)
    what = "log, second page"
    return Reading(
        topics.PORTAL, what, round(statistics.median(times), 1), "ms", PAGE_MS, "", *_wrong(wrong)
    )


async def _unchanged_poll(browser: Browser, plan: Plan) -> Reading:
    """Live polls that name the newest state, as the page's script sends them."""
    page = await browser.get(f"{LOG}/live")
    tag = page.headers.get("ETag", "")
    times, wrong = await _load(browser, f"{LOG}/live", plan.repetitions, If_None_Match=tag)
    what = "log, live poll without news"
    return Reading(
        topics.PORTAL, what, round(statistics.median(times), 1), "ms", PAGE_MS, "", *_wrong(wrong)
    )


async def _export(browser: Browser, suffix: str) -> Reading:
    """Lines per second of a download, stopped after some seconds."""
    lines = 0
    began = time.perf_counter()
    async with browser._session.get(f"{browser.base_url}{LOG}.{suffix}") as response:
        async for chunk in response.content.iter_any():
            lines += chunk.count(b"\n")
            if time.perf_counter() - began > EXPORT_SECONDS:
                break
        seconds = time.perf_counter() - began
        wrong = [] if response.status == 200 else [f"{response.status}"]
    return Reading(
        topics.PORTAL,
        f"log, export as {suffix}",
        round(lines / seconds),
        "lines/s",
        None,
        f"{lines:,} lines in {seconds:.1f} s",
        *_wrong(wrong),
    )


def _wrong(responses: list[str]) -> tuple[int, str]:
    return len(responses), responses[0] if responses else ""
