"""What the server says of itself (RFC 7644 section 4, RFC 7643 sections 5 to 7)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.api.query.cursors import LIFETIME
from gateway.api.request import ScimRequest
from gateway.http.body import MAX_BODY_BYTES
from gateway.http.responses import ScimResponse, answer
from gateway.scim import schema
from gateway.scim.bulk.request import MAX_OPERATIONS
from gateway.scim.errors import ScimError
from gateway.scim.paging import DEFAULT_PAGE, MAX_PAGE
from gateway.scim.responses import list_response
from gateway.scim.schema import ResourceType

SERVICE_PROVIDER_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
DOCUMENTATION: Final = (
    "https://learn.microsoft.com/entra/identity/saas-apps/cloud-academy-sso-provisioning-tutorial"
)

Documents = list[dict[str, Any]]
Describe = Callable[[Sequence[ResourceType], str], Documents]


async def service_provider_config(exchange: ScimRequest) -> ScimResponse:
    """GET /ServiceProviderConfig, the one document that is readable without a key."""
    refuse_filter(exchange, "ServiceProviderConfig")
    return answer(
        {
            "schemas": [SERVICE_PROVIDER_CONFIG],
            "documentationUri": DOCUMENTATION,
            "patch": {"supported": True},
            "bulk": {
                "supported": True,
                "maxOperations": MAX_OPERATIONS,
                "maxPayloadSize": MAX_BODY_BYTES,
            },
            "filter": {"supported": True, "maxResults": MAX_PAGE},
            # RFC 9865 section 4.
            "pagination": {
                "cursor": True,
                "index": True,
                "defaultPaginationMethod": "index",
                "defaultPageSize": DEFAULT_PAGE,
                "maxPageSize": MAX_PAGE,
                "cursorTimeout": int(LIFETIME.total_seconds()),
            },
            "changePassword": {"supported": False},
            "sort": {"supported": True},
            "etag": {"supported": True},
            "authenticationSchemes": [
                {
                    "type": "oauthbearertoken",
                    "name": "API key",
                    "description": "An API key of the organization's Microsoft Entra ID "
                    "integration, sent as a bearer token (RFC 6750).",
                    "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                    "primary": True,
                }
            ],
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": f"{exchange.base_url}/ServiceProviderConfig",
            },
        }
    )


def refuse_filter(exchange: ScimRequest, name: str) -> None:
    """Refuse (403) a filter, as RFC 7644 section 4 demands of discovery."""
    if exchange.parameter("filter") is not None:
        raise ScimError(403, None, f"/{name} cannot be filtered; ask for all of it.")


class Collection:
    """A list of documents about the types of resources: all of them, or one by its id."""

    def __init__(self, name: str, types: Sequence[ResourceType], describe: Describe) -> None:
        self._name = name
        self._types = types
        self._describe = describe

    async def list(self, exchange: ScimRequest) -> ScimResponse:
        """All documents; a filter is refused, as RFC 7644 section 4 demands."""
        refuse_filter(exchange, self._name)
        documents = self._documents(exchange)
        return answer(list_response(documents, len(documents), 1))

    async def get(self, exchange: ScimRequest) -> ScimResponse:
        """One document."""
        wanted = exchange.resource_id.lower()
        for document in self._documents(exchange):
            if document["id"].lower() == wanted:
                return answer(document)
        raise ScimError(404, None, f"/{self._name} has no entry {exchange.resource_id[:80]}.")

    def _documents(self, exchange: ScimRequest) -> Documents:
        types = [exchange.own(each) for each in self._types]
        return self._describe(types, exchange.base_url)


def schemas(types: Sequence[ResourceType]) -> Collection:
    """/Schemas (RFC 7643 section 7)."""
    return Collection("Schemas", types, schema.schema_documents)


def resource_types(types: Sequence[ResourceType]) -> Collection:
    """/ResourceTypes (RFC 7643 section 6)."""
    return Collection("ResourceTypes", types, schema.resource_type_documents)
