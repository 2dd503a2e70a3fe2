"""TXT lookups at a real DNS server on loopback."""

import asyncio

import pytest

from gateway.outbound.errors import OutboundReason
from tests.support.outbound.outside import ORGANIZATION, OTHER, Outside, refusal

NAME = "_cloudacademy.acme.test"


async def test_txt_records_are_returned_with_their_parts_joined(outside: Outside):
    outside.names.records[NAME, "TXT"] = ['"proof=" "1234"', '"v=spf1 -all"', '"\\255"']
    async with outside.clients() as clients:
        texts = await clients.txt_lookups.txt_records(ORGANIZATION, NAME)

    assert sorted(texts) == sorted(["proof=1234", "v=spf1 -all", "\ufffd"])


async def test_changed_txt_record_is_seen_at_the_next_lookup(outside: Outside):
    outside.names.records[NAME, "TXT"] = ['"old"']
    outside.names.later[NAME, "TXT"] = ['"new"']
    async with outside.clients() as clients:
        assert await clients.txt_lookups.txt_records(ORGANIZATION, NAME) == ["old"]
        assert await clients.txt_lookups.txt_records(ORGANIZATION, NAME) == ["new"]


async def test_truncated_answer_is_read_over_tcp(outside: Outside):
    outside.names.truncated = True
    outside.names.records[NAME, "TXT"] = [f'"{number:0200}"' for number in range(40)]
    async with outside.clients() as clients:
        texts = await clients.txt_lookups.txt_records(ORGANIZATION, NAME)

    assert len(texts) == 40
    assert outside.names.transports == {"udp": 1, "tcp": 1}


async def test_name_without_txt_records_has_none(outside: Outside):
    outside.names.records[NAME, "A"] = ["127.0.0.1"]
    async with outside.clients() as clients:
        assert await clients.txt_lookups.txt_records(ORGANIZATION, NAME) == []


async def test_missing_name_and_failing_name_servers_are_distinguished(outside: Outside):
    outside.names.failing.add("failing.test")
    async with outside.clients() as clients:
        texts = clients.txt_lookups.txt_records
        assert await refusal(texts(ORGANIZATION, NAME)) is OutboundReason.NAME_NOT_FOUND
        failing = texts(ORGANIZATION, "failing.test")
        assert await refusal(failing) is OutboundReason.DNS_UNAVAILABLE


async def test_silent_name_server_is_given_up_and_holds_up_no_other(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.outbound.resolver.LOOKUP_SECONDS", 0.5)
    outside.names.silent.add("silent.test")
    outside.names.records[NAME, "TXT"] = ['"proof"']
    async with outside.clients() as clients:
        texts = clients.txt_lookups.txt_records
        silent = asyncio.ensure_future(refusal(texts(ORGANIZATION, "silent.test")))
        assert await texts(OTHER, NAME) == ["proof"]
        assert not silent.done()
        assert await silent is OutboundReason.DNS_UNAVAILABLE


@pytest.mark.parametrize(
    "records",
    [[f'"{number}"' for number in range(101)], [f'"{number:0250}"' for number in range(70)]],
)
async def test_too_many_txt_records_are_refused(outside: Outside, records: list[str]):
    outside.names.records[NAME, "TXT"] = records
    async with outside.clients() as clients:
        call = clients.txt_lookups.txt_records(ORGANIZATION, NAME)
        assert await refusal(call) is OutboundReason.TOO_LARGE


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..test",
        "a" * 64 + ".test",
        "a." * 127 + "test",
        "ä.test",
        "a\\046test",
        ".a.test",
    ],
)
async def test_text_that_is_no_dns_name_is_not_looked_up(outside: Outside, name: str):
    async with outside.clients() as clients:
        call = clients.txt_lookups.txt_records(ORGANIZATION, name)
        assert await refusal(call) is OutboundReason.NAME_NOT_FOUND

    assert not outside.names.queries


async def test_name_is_looked_up_without_a_search_list(outside: Outside):
    async with outside.clients() as clients:
        await refusal(clients.txt_lookups.txt_records(ORGANIZATION, "keysvc"))

    assert list(outside.names.queries) == [("keysvc", "TXT")]
