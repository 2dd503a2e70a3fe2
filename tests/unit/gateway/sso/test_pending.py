"""The cookie of a sign-in that has begun."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.query.cursors import Cursors
from gateway.sso.pending import LIFETIME, PendingSignIn, PendingSignIns, Trial, own_path

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
SECRET = bytes(range(32))
BEGUN = PendingSignIn(
    organization_id="0192f0c1-0000-7000-8000-000000000001",
    request_id="ONELOGIN_1",
    relay_state="relay",
    after="/dashboard/",
    expire_time=NOW + LIFETIME,
)


@pytest.fixture
def pending() -> PendingSignIns:
    return PendingSignIns(SECRET)


@pytest.mark.parametrize("trial", [None, Trial("etag", "id", "Ann Öst")])
def test_what_is_sealed_is_read_as_it_was_for_ten_minutes(pending, trial):
    begun = replace(BEGUN, trial=trial)
    cookie = pending.seal(begun)
    assert pending.open(cookie, NOW + timedelta(minutes=10, seconds=-1)) == begun
    assert pending.open(cookie, NOW + timedelta(minutes=10)) is None


def test_the_largest_fits_into_a_cookie(pending):
    largest = replace(
        BEGUN,
        relay_state="r" * 32,
        request_id="ONELOGIN_" + "a" * 40,
        after="/" + "a" * 499,
        trial=Trial("e" * 64, "i" * 36, "ü" * 512),
    )
    cookie = pending.seal(largest)
    assert len(cookie) < 4096 - 200
    assert pending.open(cookie, NOW) == largest


def test_one_character_more_or_less_is_no_seal(pending):
    cookie = pending.seal(BEGUN)
    changed = ["A" + cookie[1:], cookie[:60] + "A" + cookie[61:], cookie[1:], cookie + "AAAA", ""]
    assert [pending.open(each, NOW) for each in changed] == [None] * 5


def test_another_regions_seal_is_none_and_neither_is_a_cursors(pending):
    assert PendingSignIns(bytes(32)).open(pending.seal(BEGUN), NOW) is None
    assert pending.open(Cursors(SECRET, lambda: NOW).seal("o", "q", "p"), NOW) is None
    forged = base64.urlsafe_b64encode(bytes(32) + b'{"trial":null}').rstrip(b"=").decode()
    assert pending.open(forged, NOW) is None


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/a?b=c&d=/e#f", "/%2F%2Fevil.test", "/a:b"])
def test_paths_of_ours_are_gone_on_to(path):
    assert own_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        " /a",
        "/a b",
        "https://evil.test/",
        "https:evil.test",
        "javascript:alert(1)",
        "/ü",
        '/"',
        "/" + "a" * 500,
    ],
)
def test_anything_else_is_not(text):
    assert own_path(text) == ""
