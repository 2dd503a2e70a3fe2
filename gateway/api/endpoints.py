"""All endpoints of the service."""

import time
from collections.abc import Mapping
from typing import Final, Protocol

from chassis.observability.log import Logger
from gateway.api import discovery, me
from gateway.api.bulk import Bulk
from gateway.api.query.cursors import Cursors
from gateway.api.query.search import Search, Source
from gateway.api.request import ScimRequest
from gateway.api.routing import Endpoint, Methods, Table
from gateway.http.responses import ScimResponse

_SEARCH: Final = ".search"


class Resources(Source, Protocol):
    """An endpoint of resources of one type."""

    async def create(self, exchange: ScimRequest) -> ScimResponse: ...
    async def get(self, exchange: ScimRequest) -> ScimResponse: ...
    async def replace(self, exchange: ScimRequest) -> ScimResponse: ...
    async def patch(self, exchange: ScimRequest) -> ScimResponse: ...
    async def delete(self, exchange: ScimRequest) -> ScimResponse: ...


def endpoints(resources: Mapping[str, Resources], cursors: Cursors, log: Logger) -> Table:
    """The service's paths.

    At the root the types are listed from the last of `resources` on: groups are
    fewer than users, so the first page has some of both.
    """
    root = Search(list(resources.values())[::-1], cursors)
    bulk = Bulk(
        Table({name: _changing(each) for name, each in resources.items()}), log, time.monotonic
    )
    types = [each.resource_type for each in resources.values()]
    schemas = discovery.schemas(types)
    resource_types = discovery.resource_types(types)
    return Table(
        {
            "": Endpoint({"GET": root.get}),
            _SEARCH: Endpoint({"POST": root.post}),
            **{name: _whole(each, cursors) for name, each in resources.items()},
            "Bulk": Endpoint({"POST": bulk.post}),
            "Me": Endpoint(dict.fromkeys(me.METHODS, me.not_implemented)),
            "ServiceProviderConfig": Endpoint(
                {"GET": discovery.service_provider_config}, public=True
            ),
            "Schemas": Endpoint({"GET": schemas.list}, {"GET": schemas.get}),
            "ResourceTypes": Endpoint({"GET": resource_types.list}, {"GET": resource_types.get}),
        }
    )


def _changing(resources: Resources) -> Endpoint:
    """What an operation of a bulk request can be (RFC 7644 section 3.7)."""
    return Endpoint({"POST": resources.create}, _changes(resources))


def _whole(resources: Resources, cursors: Cursors) -> Endpoint:
    query = Search([resources], cursors)
    return Endpoint(
        {"GET": query.get, "POST": resources.create},
        {"GET": resources.get, **_changes(resources)},
        {_SEARCH: {"POST": query.post}},
    )


def _changes(resources: Resources) -> Methods:
    return {"PUT": resources.replace, "PATCH": resources.patch, "DELETE": resources.delete}
