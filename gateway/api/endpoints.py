"""The endpoints of the SCIM service."""

import time
from collections.abc import Mapping
from typing import Final, Protocol

from chassis.observability.log import Logger
from gateway.api import discovery, me
from gateway.api.bulk import Bulk
from gateway.api.query.cursors import Cursors
from gateway.api.query.pages import SearchSource
from gateway.api.query.search import Search
from gateway.api.query.walks import Walks
from gateway.api.request import ScimRequest
from gateway.api.routing import Endpoint, Methods, RouteTable
from gateway.http.responses import ScimResponse

_SEARCH: Final = ".search"
_ME: Final = "Me"


class Resources(SearchSource, Protocol):
    """The operations on resources of one type."""

    async def create(self, request: ScimRequest) -> ScimResponse: ...
    async def get(self, request: ScimRequest) -> ScimResponse: ...
    async def replace(self, request: ScimRequest) -> ScimResponse: ...
    async def patch(self, request: ScimRequest) -> ScimResponse: ...
    async def delete(self, request: ScimRequest) -> ScimResponse: ...


def endpoints(
    resources: Mapping[str, Resources], cursors: Cursors, walks: Walks, log: Logger
) -> RouteTable:
    """The route table of the service.

    A query at the root lists the types of `resources` in reverse order. There are fewer groups than
    users, so the first page has some of both.
    """
    root = Search(list(resources.values())[::-1], cursors, walks)
    me_endpoint = Endpoint(dict.fromkeys(me.METHODS, me.not_implemented))
    bulk = Bulk(
        RouteTable(
            {name: _bulk_endpoint(each) for name, each in resources.items()} | {_ME: me_endpoint}
        ),
        log,
        time.monotonic,
    )
    types = [each.resource_type for each in resources.values()]
    schemas = discovery.schemas(types)
    resource_types = discovery.resource_types(types)
    return RouteTable(
        {
            "": Endpoint({"GET": root.get}),
            _SEARCH: Endpoint({"POST": root.post}),
            **{name: _endpoint(each, cursors, walks) for name, each in resources.items()},
            "Bulk": Endpoint({"POST": bulk.post}),
            _ME: me_endpoint,
            "ServiceProviderConfig": Endpoint(
                {"GET": discovery.service_provider_config}, public=True
            ),
            "Schemas": Endpoint({"GET": schemas.list}, {"GET": schemas.get}),
            "ResourceTypes": Endpoint({"GET": resource_types.list}, {"GET": resource_types.get}),
        }
    )


def _bulk_endpoint(resources: Resources) -> Endpoint:
    """The methods that an operation of a bulk request may use (RFC 7644 section 3.7)."""
    return Endpoint({"POST": resources.create}, _write_methods(resources))


def _endpoint(resources: Resources, cursors: Cursors, walks: Walks) -> Endpoint:
    query = Search([resources], cursors, walks)
    return Endpoint(
        {"GET": query.get, "POST": resources.create},
        {"GET": resources.get, **_write_methods(resources)},
        {_SEARCH: {"POST": query.post}},
    )


def _write_methods(resources: Resources) -> Methods:
    return {"PUT": resources.replace, "PATCH": resources.patch, "DELETE": resources.delete}
