"""The settings of usersvc, from environment variables that begin with USERSVC_."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis.config.settings import Environment, ServerSettings

REGIONS: Final = ("us", "eu")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that an operator chooses."""

    database_url: str = field(repr=False)  # contains a password
    server: ServerSettings
    region: str
    log_level: str
    listen_url: str = field(default="", repr=False)
    """The database URL for LISTEN. Needed if `database_url` is a pooler in transaction mode."""
    reads_across_organizations: bool = True
    """Whether concurrent reads of different organizations share statements."""


def read(variables: Mapping[str, str]) -> Settings:
    """Read the settings. Refuses (SettingsError) with all errors at once."""
    environment = Environment(variables, "USERSVC_")
    settings = Settings(
        database_url=environment.database("DATABASE_URL"),
        server=environment.server("127.0.0.1:50051"),
        region=environment.choice("REGION", REGIONS),
        log_level=environment.choice("LOG_LEVEL", LOG_LEVELS, "info"),
        listen_url=environment.optional_database("DATABASE_LISTEN_URL"),
        reads_across_organizations=environment.switch("READS_ACROSS_ORGANIZATIONS", default=True),
    )
    environment.check()
    return settings
