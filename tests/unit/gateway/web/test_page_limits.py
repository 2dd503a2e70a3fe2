"""Whom a request for a page counts for, and whom it keeps out."""

import asyncio

import pytest
import structlog

from gateway.http.body import Bodies
from gateway.limits.rate_limiter import Rate
from gateway.limits.rejections import RejectedError, RejectionStats, RejectReason
from gateway.portal.problems import of_rejection
from gateway.web import page_limits as limits_module
from gateway.web.page_limits import (
    ANONYMOUS_SLOTS,
    FILE_SLOTS,
    FILE_SLOTS_PER_ORGANIZATION,
    SITE_MULTIPLE,
    Client,
    PageLimiter,
    PageLimits,
)

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
ACME, GLOBEX = "acme", "globex"


def page_limiter(*, burst: int = 3, max_concurrent: int = 4) -> PageLimiter:
    rate = Rate(1.0, burst)
    limits, tally = PageLimits(rate, rate, max_concurrent), RejectionStats(structlog.get_logger())
    return PageLimiter(limits, Bodies(100), tally, lambda: 1_000.0)


def signed_in(of: PageLimiter, token: str, organization_id: str, address: str = HERE) -> Client:
    return of.signed_in(token, organization_id, of.admit(address, token))


async def test_a_session_counts_for_its_organization_and_a_stranger_for_the_address():
    limiter = page_limiter(burst=1)
    stranger = limiter.admit("2001:db8::1")

    assert signed_in(limiter, "t", ACME) == Client(ACME, is_signed_in=True)
    assert stranger == Client("2001:db8::/64", is_signed_in=False)
    with pytest.raises(RejectedError) as refused:
        limiter.admit("2001:db8::2")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})


async def test_an_ipv6_site_opens_a_few_times_as_many_pages_as_a_network():
    limiter = page_limiter(burst=1)
    for number in range(SITE_MULTIPLE):
        limiter.admit(f"2001:db8:1:{number:x}::1")

    with pytest.raises(RejectedError):
        limiter.admit("2001:db8:1:ffff::1")
    assert limiter.admit("2001:db8:2::1").name == "2001:db8:2::/64"


async def test_the_networks_of_an_ipv6_site_share_its_slots():
    limiter, leave, inside = page_limiter(burst=99), asyncio.Event(), []

    async def stay(address: str) -> None:
        async with limiter.slot(limiter.admit(address)):
            inside.append(address)
            await leave.wait()

    crowd = [f"2001:db8:1:{number:x}::1" for number in range(ANONYMOUS_SLOTS)]
    staying = [asyncio.create_task(stay(address)) for address in (*crowd, "2001:db8:2::1")]
    await asyncio.sleep(0)
    taken = list(inside)
    leave.set()
    await asyncio.wait(staying)

    assert taken == [*crowd[: ANONYMOUS_SLOTS // 2], "2001:db8:2::1"]


async def test_another_session_of_an_organization_does_not_give_it_more():
    limiter = page_limiter(burst=3)
    first, second = (signed_in(limiter, token, ACME) for token in ("one", "two"))
    limiter.admit(HERE, "one")

    with pytest.raises(RejectedError):
        limiter.admit(ELSEWHERE, "two")
    assert first == second
    assert signed_in(limiter, "three", GLOBEX, ELSEWHERE).name == GLOBEX


async def test_a_session_that_is_over_counts_for_the_address_again():
    limiter = page_limiter()
    signed_in(limiter, "t", ACME)
    before = limiter.admit(HERE, "t")
    limiter.signed_out("t")

    assert before == Client(ACME, is_signed_in=True)
    assert limiter.admit(HERE, "t") == Client(HERE, is_signed_in=False)


async def test_of_too_many_sessions_the_one_seen_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(limits_module, "MAX_KNOWN_SESSIONS", 2)
    limiter = page_limiter(burst=9)
    for token in ("one", "two", "one", "three"):
        signed_in(limiter, token, ACME)

    assert [limiter.admit(HERE, token).is_signed_in for token in ("one", "two", "three")] == [
        True,
        False,
        True,
    ]


async def test_a_token_that_is_no_text_counts_for_the_address():
    limiter = page_limiter(burst=1)

    assert limiter.admit(HERE, "\udcff\udcfe") == Client(HERE, is_signed_in=False)
    with pytest.raises(RejectedError):
        limiter.admit(HERE, "\udcff\udcfe")


@pytest.mark.parametrize(
    ("client", "for_file", "of_one", "in_all"),
    [
        (Client(ACME, is_signed_in=True), False, 2, 4),
        (Client(HERE, is_signed_in=False), False, ANONYMOUS_SLOTS // 2, ANONYMOUS_SLOTS),
        (Client(ACME, is_signed_in=True), True, FILE_SLOTS_PER_ORGANIZATION, FILE_SLOTS),
    ],
)
async def test_nobody_has_all_places_of_a_kind(
    client: Client, for_file: bool, of_one: int, in_all: int
):
    limiter, leave = page_limiter(), asyncio.Event()
    inside: list[str] = []

    async def stay(who: Client) -> None:
        async with limiter.slot(who, for_file=for_file):
            inside.append(who.name)
            await leave.wait()

    crowd = [client] * 9 + [Client(f"other {n}", client.is_signed_in) for n in range(9)]
    staying = [asyncio.create_task(stay(each)) for each in crowd]
    await asyncio.sleep(0)
    taken = list(inside)
    leave.set()
    await asyncio.wait(staying)

    assert (taken.count(client.name), len(taken)) == (of_one, min(in_all, of_one + 9))
    assert {f"other {n}" for n in range(in_all - of_one)} & set(taken)


async def test_a_form_that_finds_no_memory_is_told_so():
    limiter = page_limiter()

    with (
        pytest.raises(RejectedError) as refused,
        limiter.body(Client(ACME, is_signed_in=True)) as hold,
    ):
        hold(51)
    assert (refused.value.why, refused.value.headers) == (
        RejectReason.FORMS_FULL,
        {"Retry-After": "2"},
    )
    assert of_rejection(refused.value).title == "Too many forms are sent at the moment"


async def test_what_else_is_refused_to_who_has_sent_a_form_keeps_its_words():
    limiter, no_page = page_limiter(), RejectedError(RejectReason.PAGES_FULL, 503, "", 2)

    with pytest.raises(RejectedError) as refused, limiter.body(Client(ACME, is_signed_in=True)):
        raise no_page
    assert refused.value is no_page
