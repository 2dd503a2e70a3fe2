"""The settings of this process, from variables that begin with USERSVC_."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis.config.settings import Environment, ServerSettings

LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decides."""

    database_url: str = field(repr=False)  # has a password
    server: ServerSettings
    log_level: str
    listen_url: str = field(default="", repr=False)
    """The database for LISTEN, where `database_url` is a pooler in transaction mode."""


def read(variables: Mapping[str, str]) -> Settings:
    """The settings; refuses with all that is wrong with them at once."""
    environment = Environment(variables, "USERSVC_")
    settings = Settings(
        database_url=environment.database("DATABASE_URL"),
        server=environment.server("127.0.0.1:50051"),
        log_level=environment.choice("LOG_LEVEL", LOG_LEVELS, "info"),
        listen_url=environment.optional_database("DATABASE_LISTEN_URL"),
    )
    environment.check()
    return settings
