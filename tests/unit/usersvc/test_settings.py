"""The settings of the user service."""

import pytest

from chassis.config.settings import Address, ServerSettings, SettingsError
from usersvc.settings import Settings, read


def test_a_database_is_all_that_must_be_set():
    settings = read({"USERSVC_DATABASE_URL": "postgresql://localhost/users"})
    assert settings == Settings(
        "postgresql://localhost/users", ServerSettings(Address("127.0.0.1", 50051)), "info"
    )


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(SettingsError) as caught:
        read({"USERSVC_LISTEN": "nowhere", "USERSVC_LOG_LEVEL": "loud"})
    assert str(caught.value) == (
        "USERSVC_DATABASE_URL is not set; USERSVC_LISTEN is 'nowhere', not host:port; "
        "USERSVC_LOG_LEVEL is not one of debug, info, warning, error"
    )
