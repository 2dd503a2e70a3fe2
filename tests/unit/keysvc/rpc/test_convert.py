"""Conversion of request fields, and settings."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cloudacademy.keys.v1 import keys_pb2

from chassis.config.settings import Address, ServerSettings, SettingsError
from chassis.errors import InvalidField
from keysvc.domain.organizations import Region
from keysvc.rpc import convert
from keysvc.settings import Settings

ID = UUID("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ""),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_ip_address_is_stored_in_its_shortest_form(text: str, address: str):
    assert convert.read_address("client_address", text) == address


@pytest.mark.parametrize(
    "text", ["here", "192.0.2.7:80", "192.0.2.256", "fe80::1%" + "x" * 100, "1" * 1_000_000]
)
def test_text_that_is_not_an_ip_address_is_refused(text: str):
    with pytest.raises(InvalidField):
        convert.read_address("client_address", text)


def test_page_size_is_100_by_default_and_at_most_1000():
    sizes = [convert.read_page_size(size) for size in (0, 1, 1_000, 1_001, 2**31 - 1)]
    assert sizes == [100, 1, 1_000, 1_000, 1_000]


@pytest.mark.parametrize(
    "read",
    [
        lambda: convert.read_page_size(-1),
        lambda: convert.read_region("region", keys_pb2.REGION_EU, Region.US),
        lambda: convert.read_region("region", 99, Region.US),
    ],
    ids=["negative size", "other region", "unknown region"],
)
def test_invalid_page_size_or_region_is_refused(read: Callable[[], object]):
    with pytest.raises(InvalidField):
        read()


def test_times_keep_their_microseconds():
    time = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert convert.timestamp(time).ToDatetime(UTC) == time
    assert convert.timestamp(None) is None


def test_settings_are_read_from_the_environment_and_hide_the_password():
    url = "postgresql://keys:secret@localhost/keys"
    settings = Settings.read({"KEYSVC_DATABASE_URL": url, "KEYSVC_REGION": "eu"})
    assert settings == Settings(url, ServerSettings(Address("127.0.0.1", 50052)), Region.EU, "info")
    assert "secret" not in repr(settings)


def test_all_invalid_settings_are_reported_at_once():
    with pytest.raises(SettingsError) as caught:
        Settings.read({"KEYSVC_REGION": "mars", "KEYSVC_LISTEN": "here"})
    assert str(caught.value) == (
        "KEYSVC_DATABASE_URL is not set; KEYSVC_LISTEN is 'here', not host:port; "
        "KEYSVC_REGION is not one of us, eu"
    )
