"""Settings of this process, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.config.settings import Environment, ServerSettings
from keysvc.domain.organizations import Region


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ between deployments."""

    database_url: str = field(repr=False)  # has a password
    server: ServerSettings
    region: Region
    log_level: str
    listen_url: str = field(default="", repr=False)
    """The database for LISTEN, where `database_url` is a pooler in transaction mode."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """Read the variables; refuses (SettingsError) with all that is wrong at once."""
        environment = Environment(variables, "KEYSVC_")
        database_url = environment.database("DATABASE_URL")
        server = environment.server("127.0.0.1:50052")
        region = environment.choice("REGION", tuple(Region))
        log_level = environment.choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "info")
        listen_url = environment.optional_database("DATABASE_LISTEN_URL")
        environment.check()
        return cls(database_url, server, Region(region), log_level, listen_url)
