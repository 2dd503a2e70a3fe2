"""Settings of keysvc, from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.config.settings import Environment, ServerSettings
from keysvc.domain.organizations import Region


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment."""

    database_url: str = field(repr=False)  # contains a password
    server: ServerSettings
    region: Region
    log_level: str
    listen_url: str = field(default="", repr=False)
    """The URL for LISTEN, if `database_url` is that of a pooler in transaction mode."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """Read the variables. Refuses (SettingsError) with all problems at once."""
        environment = Environment(variables, "KEYSVC_")
        database_url = environment.database("DATABASE_URL")
        server = environment.server("127.0.0.1:50052")
        region = environment.choice("REGION", tuple(Region))
        log_level = environment.choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "info")
        listen_url = environment.optional_database("DATABASE_LISTEN_URL")
        environment.check()
        return cls(database_url, server, Region(region), log_level, listen_url)
