"""Rate limits and slots of pages: the client for which a request counts."""

import asyncio

import pytest
import structlog

from gateway.http.body import BodyMemory
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
    limits, stats = PageLimits(rate, rate, max_concurrent), RejectionStats(structlog.get_logger())
    return PageLimiter(limits, BodyMemory(100), stats, lambda: 1_000.0)


def signed_in(
    limiter: PageLimiter, token: str, organization_id: str, address: str = HERE
) -> Client:
    return limiter.signed_in(token, organization_id, limiter.admit(address, token))


async def test_request_counts_for_organization_with_session_else_address():
    limiter = page_limiter(burst=1)
    anonymous = limiter.admit("2001:db8::1")

    assert signed_in(limiter, "t", ACME) == Client(ACME, is_signed_in=True)
    assert anonymous == Client("2001:db8::/64", is_signed_in=False)
    with pytest.raises(RejectedError) as refused:
        limiter.admit("2001:db8::2")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})


async def test_ipv6_site_has_a_multiple_of_the_rate_of_an_address():
    limiter = page_limiter(burst=1)
    for number in range(SITE_MULTIPLE):
        limiter.admit(f"2001:db8:1:{number:x}::1")

    with pytest.raises(RejectedError):
        limiter.admit("2001:db8:1:ffff::1")
    assert limiter.admit("2001:db8:2::1").name == "2001:db8:2::/64"


async def test_networks_of_an_ipv6_site_share_its_slots():
    limiter, leave, inside = page_limiter(burst=99), asyncio.Event(), []

    async def hold(address: str) -> None:
        async with limiter.slot(limiter.admit(address)):
            inside.append(address)
            await leave.wait()

    clients = [f"2001:db8:1:{number:x}::1" for number in range(ANONYMOUS_SLOTS)]
    tasks = [asyncio.create_task(hold(address)) for address in (*clients, "2001:db8:2::1")]
    await asyncio.sleep(0)
    admitted = list(inside)
    leave.set()
    await asyncio.wait(tasks)

    assert admitted == [*clients[: ANONYMOUS_SLOTS // 2], "2001:db8:2::1"]


async def test_sessions_of_an_organization_share_its_rate():
    limiter = page_limiter(burst=3)
    first, second = (signed_in(limiter, token, ACME) for token in ("one", "two"))
    limiter.admit(HERE, "one")

    with pytest.raises(RejectedError):
        limiter.admit(ELSEWHERE, "two")
    assert first == second
    assert signed_in(limiter, "three", GLOBEX, ELSEWHERE).name == GLOBEX


async def test_ended_session_counts_for_the_address_again():
    limiter = page_limiter()
    signed_in(limiter, "t", ACME)
    before = limiter.admit(HERE, "t")
    limiter.signed_out("t")

    assert before == Client(ACME, is_signed_in=True)
    assert limiter.admit(HERE, "t") == Client(HERE, is_signed_in=False)


async def test_least_recently_used_session_is_forgotten_over_the_limit(
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


async def test_token_that_is_not_utf8_counts_for_the_address():
    limiter = page_limiter(burst=1)

    assert limiter.admit(HERE, "\udcff\udcfe") == Client(HERE, is_signed_in=False)
    with pytest.raises(RejectedError):
        limiter.admit(HERE, "\udcff\udcfe")


@pytest.mark.parametrize(
    ("client", "for_file", "client_slots", "total_slots"),
    [
        (Client(ACME, is_signed_in=True), False, 2, 4),
        (Client(HERE, is_signed_in=False), False, ANONYMOUS_SLOTS // 2, ANONYMOUS_SLOTS),
        (Client(ACME, is_signed_in=True), True, FILE_SLOTS_PER_ORGANIZATION, FILE_SLOTS),
    ],
)
async def test_one_client_gets_only_a_share_of_the_slots(
    client: Client, for_file: bool, client_slots: int, total_slots: int
):
    limiter, leave = page_limiter(), asyncio.Event()
    inside: list[str] = []

    async def hold(holder: Client) -> None:
        async with limiter.slot(holder, for_file=for_file):
            inside.append(holder.name)
            await leave.wait()

    clients = [client] * 9 + [Client(f"other {n}", client.is_signed_in) for n in range(9)]
    tasks = [asyncio.create_task(hold(each)) for each in clients]
    await asyncio.sleep(0)
    admitted = list(inside)
    leave.set()
    await asyncio.wait(tasks)

    assert (admitted.count(client.name), len(admitted)) == (
        client_slots,
        min(total_slots, client_slots + 9),
    )
    assert {f"other {n}" for n in range(total_slots - client_slots)} & set(admitted)


async def test_form_without_memory_is_rejected_as_forms_full():
    limiter = page_limiter()

    with (
        pytest.raises(RejectedError) as refused,
        limiter.body(Client(ACME, is_signed_in=True)) as reservation,
    ):
        reservation.acquire(51)
    assert (refused.value.reason, refused.value.headers) == (
        RejectReason.NO_FORM_MEMORY,
        {"Retry-After": "2"},
    )
    assert of_rejection(refused.value).title == "Too many forms are being sent"


async def test_other_rejection_inside_a_form_is_not_changed():
    limiter, no_page = page_limiter(), RejectedError(RejectReason.NO_PAGE_SLOT, 503, "", 2)

    with pytest.raises(RejectedError) as refused, limiter.body(Client(ACME, is_signed_in=True)):
        raise no_page
    assert refused.value is no_page
