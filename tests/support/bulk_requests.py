"""Bulk requests (RFC 7644 section 3.7) and their results."""

from typing import Any

from tests.support.scim import Client
from tests.support.scim_documents import ENTERPRISE, person

RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def post(bulk_id: str, manager: str | None = None, **attributes: object) -> dict[str, Any]:
    extension = {} if manager is None else {ENTERPRISE: {"manager": {"value": manager}}}
    data = person(**extension, **attributes)
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}


async def bulk(scim: Client, *operations: object, **members: object) -> list[dict[str, Any]]:
    """Send a bulk request, and return the results of its operations."""
    body = {"schemas": [REQUEST], "Operations": operations, **members}
    reply = await scim("POST", "/Bulk", body)
    assert (reply.status, reply.document["schemas"]) == (200, [RESPONSE])
    return reply.document["Operations"]


def created_id(result: dict[str, Any]) -> str:
    return result["location"].rpartition("/")[2]
