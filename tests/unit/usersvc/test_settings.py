"""The settings of the user service."""

import pytest

from chassis.config.settings import Address, ServerSettings, SettingsError
from usersvc.settings import Settings, read


def test_database_url_and_region_are_the_only_required_settings():
    settings = read(
        {"USERSVC_DATABASE_URL": "postgresql://localhost/users", "USERSVC_REGION": "us"}
    )
    assert settings == Settings(
        "postgresql://localhost/users", ServerSettings(Address("127.0.0.1", 50051)), "us", "info"
    )


def test_all_invalid_settings_are_reported_at_once():
    with pytest.raises(SettingsError) as caught:
        read({"USERSVC_LISTEN": "nowhere", "USERSVC_LOG_LEVEL": "loud"})
    assert str(caught.value) == (
        "USERSVC_DATABASE_URL is not set; USERSVC_LISTEN is 'nowhere', not host:port; "
        "USERSVC_REGION is not set; USERSVC_LOG_LEVEL is not one of debug, info, warning, error"
    )


def test_reads_of_different_organizations_share_statements_unless_switched_off():
    required = {"USERSVC_DATABASE_URL": "postgresql://localhost/users", "USERSVC_REGION": "us"}
    name = "USERSVC_READS_ACROSS_ORGANIZATIONS"

    assert read(required).reads_across_organizations
    assert not read(required | {name: "off"}).reads_across_organizations
    with pytest.raises(SettingsError, match=f"^{name} is not one of on, off$"):
        read(required | {name: "no"})
