"""Whom a request for a page counts for, and whom it keeps out."""

import asyncio

import pytest
import structlog

from gateway.http.body import Bodies
from gateway.limits.rate_limiter import Rate
from gateway.limits.rejections import RejectedError, RejectionStats, RejectReason
from gateway.portal.problems import of_turned_away
from gateway.web import page_limits as page_gate
from gateway.web.page_limits import (
    FILES,
    FILES_OF_ONE,
    SITE_MULTIPLE,
    STRANGERS,
    Client,
    PageLimiter,
    PageLimits,
)

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
ACME, GLOBEX = "acme", "globex"


def gate(*, burst: int = 3, at_once: int = 4) -> PageLimiter:
    rate = Rate(1.0, burst)
    limits, tally = PageLimits(rate, rate, at_once), RejectionStats(structlog.get_logger())
    return PageLimiter(limits, Bodies(100), tally, lambda: 1_000.0)


def signed_in(of: PageLimiter, token: str, organization_id: str, address: str = HERE) -> Client:
    return of.signed_in(token, organization_id, of.admit(address, token))


async def test_a_session_counts_for_its_organization_and_a_stranger_for_the_address():
    ours = gate(burst=1)
    stranger = ours.admit("2001:db8::1")

    assert signed_in(ours, "t", ACME) == Client(ACME, is_known=True)
    assert stranger == Client("2001:db8::/64", is_known=False)
    with pytest.raises(RejectedError) as refused:
        ours.admit("2001:db8::2")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})


async def test_an_ipv6_site_opens_a_few_times_as_many_pages_as_a_network():
    ours = gate(burst=1)
    for number in range(SITE_MULTIPLE):
        ours.admit(f"2001:db8:1:{number:x}::1")

    with pytest.raises(RejectedError):
        ours.admit("2001:db8:1:ffff::1")
    assert ours.admit("2001:db8:2::1").name == "2001:db8:2::/64"


async def test_the_networks_of_an_ipv6_site_share_its_slots():
    ours, leave, inside = gate(burst=99), asyncio.Event(), []

    async def stay(address: str) -> None:
        async with ours.place(ours.admit(address)):
            inside.append(address)
            await leave.wait()

    crowd = [f"2001:db8:1:{number:x}::1" for number in range(STRANGERS)]
    staying = [asyncio.create_task(stay(address)) for address in (*crowd, "2001:db8:2::1")]
    await asyncio.sleep(0)
    taken = list(inside)
    leave.set()
    await asyncio.wait(staying)

    assert taken == [*crowd[: STRANGERS // 2], "2001:db8:2::1"]


async def test_another_session_of_an_organization_does_not_give_it_more():
    ours = gate(burst=3)
    first, second = (signed_in(ours, token, ACME) for token in ("one", "two"))
    ours.admit(HERE, "one")

    with pytest.raises(RejectedError):
        ours.admit(ELSEWHERE, "two")
    assert first == second
    assert signed_in(ours, "three", GLOBEX, ELSEWHERE).name == GLOBEX


async def test_a_session_that_is_over_counts_for_the_address_again():
    ours = gate()
    signed_in(ours, "t", ACME)
    before = ours.admit(HERE, "t")
    ours.signed_out("t")

    assert before == Client(ACME, is_known=True)
    assert ours.admit(HERE, "t") == Client(HERE, is_known=False)


async def test_of_too_many_sessions_the_one_seen_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(page_gate, "KNOWN_SESSIONS", 2)
    ours = gate(burst=9)
    for token in ("one", "two", "one", "three"):
        signed_in(ours, token, ACME)

    assert [ours.admit(HERE, token).is_known for token in ("one", "two", "three")] == [
        True,
        False,
        True,
    ]


async def test_a_token_that_is_no_text_counts_for_the_address():
    ours = gate(burst=1)

    assert ours.admit(HERE, "\udcff\udcfe") == Client(HERE, is_known=False)
    with pytest.raises(RejectedError):
        ours.admit(HERE, "\udcff\udcfe")


@pytest.mark.parametrize(
    ("visitor", "for_file", "of_one", "in_all"),
    [
        (Client(ACME, is_known=True), False, 2, 4),
        (Client(HERE, is_known=False), False, STRANGERS // 2, STRANGERS),
        (Client(ACME, is_known=True), True, FILES_OF_ONE, FILES),
    ],
)
async def test_nobody_has_all_places_of_a_kind(
    visitor: Client, for_file: bool, of_one: int, in_all: int
):
    ours, leave = gate(), asyncio.Event()
    inside: list[str] = []

    async def stay(who: Client) -> None:
        async with ours.place(who, for_file=for_file):
            inside.append(who.name)
            await leave.wait()

    crowd = [visitor] * 9 + [Client(f"other {n}", visitor.is_known) for n in range(9)]
    staying = [asyncio.create_task(stay(each)) for each in crowd]
    await asyncio.sleep(0)
    taken = list(inside)
    leave.set()
    await asyncio.wait(staying)

    assert (taken.count(visitor.name), len(taken)) == (of_one, min(in_all, of_one + 9))
    assert {f"other {n}" for n in range(in_all - of_one)} & set(taken)


async def test_a_form_that_finds_no_memory_is_told_so():
    ours = gate()

    with pytest.raises(RejectedError) as refused, ours.body(Client(ACME, is_known=True)) as hold:
        hold(51)
    assert (refused.value.why, refused.value.headers) == (
        RejectReason.FORMS_FULL,
        {"Retry-After": "2"},
    )
    assert of_turned_away(refused.value).title == "Too many forms are sent at the moment"


async def test_what_else_is_refused_to_who_has_sent_a_form_keeps_its_words():
    ours, no_page = gate(), RejectedError(RejectReason.PAGES_FULL, 503, "", 2)

    with pytest.raises(RejectedError) as refused, ours.body(Client(ACME, is_known=True)):
        raise no_page
    assert refused.value is no_page
