"""The routes of the SCIM endpoint, without anything behind them."""

from typing import Any

from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.routing import RouteTable
from gateway.api.users import Users


def table() -> RouteTable:
    """The service's own; who answers is of no matter here."""
    nobody: Any = None
    return endpoints({"Users": Users(nobody), "Groups": Groups(nobody)}, nobody, nobody)
