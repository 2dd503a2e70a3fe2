"""The cookie of a pending sign-in, and local redirect paths."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.query.cursors import Cursors
from gateway.signing.shared_secrets import SharedSecrets
from gateway.sso.pending import LIFETIME, PendingSignIn, PendingSignIns, Trial, local_path

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
SECRET = bytes(range(32))
PENDING = PendingSignIn(
    organization_id="0192f0c1-0000-7000-8000-000000000001",
    request_id="ONELOGIN_1",
    relay_state="relay",
    after="/dashboard/",
    expire_time=NOW + LIFETIME,
)


@pytest.fixture
def pending() -> PendingSignIns:
    return PendingSignIns(SharedSecrets((SECRET,)))


@pytest.mark.parametrize("trial", [None, Trial("etag", "id", "Ann Öst")])
def test_sealed_sign_in_opens_unchanged_for_ten_minutes(pending, trial):
    sign_in = replace(PENDING, trial=trial)
    cookie = pending.sign(sign_in)
    assert pending.verify(cookie, NOW + timedelta(minutes=10, seconds=-1)) == sign_in
    assert pending.verify(cookie, NOW + timedelta(minutes=10)) is None


def test_largest_sign_in_fits_into_a_cookie(pending):
    largest = replace(
        PENDING,
        relay_state="r" * 32,
        request_id="ONELOGIN_" + "a" * 40,
        after="/" + "a" * 499,
        trial=Trial("e" * 64, "i" * 36, "ü" * 512),
    )
    cookie = pending.sign(largest)
    assert len(cookie) < 4096 - 200
    assert pending.verify(cookie, NOW) == largest


def test_changed_cookie_does_not_open(pending):
    cookie = pending.sign(PENDING)
    changed = ["A" + cookie[1:], cookie[:60] + "A" + cookie[61:], cookie[1:], cookie + "AAAA", ""]
    assert [pending.verify(each, NOW) for each in changed] == [None] * 5


def test_seal_of_another_region_or_purpose_does_not_open(pending):
    assert PendingSignIns(SharedSecrets((bytes(32),))).verify(pending.sign(PENDING), NOW) is None
    assert (
        pending.verify(Cursors(SharedSecrets((SECRET,)), lambda: NOW).sign("o", "q", "p"), NOW)
        is None
    )
    forged = base64.urlsafe_b64encode(bytes(32) + b'{"trial":null}').rstrip(b"=").decode()
    assert pending.verify(forged, NOW) is None


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/a?b=c&d=/e#f", "/%2F%2Fevil.test", "/a:b"])
def test_local_path_is_returned(path):
    assert local_path(path) == path


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
def test_text_that_is_not_a_local_path_is_dropped(text):
    assert local_path(text) == ""
