"""The routes of the SCIM endpoint, without backends."""

from typing import Any

from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.routing import RouteTable
from gateway.api.users import Users


def table() -> RouteTable:
    """The route table of the service. Its handlers must not be called."""
    no_backend: Any = None
    resources = {"Users": Users(no_backend), "Groups": Groups(no_backend)}
    return endpoints(resources, no_backend, no_backend, no_backend)
