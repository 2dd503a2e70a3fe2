"""The discovery endpoints (RFC 7644 section 4, RFC 7643 sections 5 to 7)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.api.query.cursors import LIFETIME
from gateway.api.request import ScimRequest
from gateway.http.body import MAX_BODY_BYTES
from gateway.http.responses import ScimResponse, document_response
from gateway.scim import schema
from gateway.scim.bulk.request import MAX_OPERATIONS
from gateway.scim.errors import ScimError
from gateway.scim.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from gateway.scim.responses import list_response
from gateway.scim.schema import ResourceType

SERVICE_PROVIDER_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
DOCUMENTATION: Final = (
    "https://learn.microsoft.com/entra/identity/saas-apps/cloud-academy-sso-provisioning-tutorial"
)

Documents = list[dict[str, Any]]
Describe = Callable[[Sequence[ResourceType], str], Documents]


async def service_provider_config(request: ScimRequest) -> ScimResponse:
    """GET /ServiceProviderConfig, the only endpoint that needs no key."""
    refuse_filter(request, "ServiceProviderConfig")
    return document_response(
        {
            "schemas": [SERVICE_PROVIDER_CONFIG],
            "documentationUri": DOCUMENTATION,
            "patch": {"supported": True},
            "bulk": {
                "supported": True,
                "maxOperations": MAX_OPERATIONS,
                "maxPayloadSize": MAX_BODY_BYTES,
            },
            "filter": {"supported": True, "maxResults": MAX_PAGE_SIZE},
            # RFC 9865 section 4.
            "pagination": {
                "cursor": True,
                "index": True,
                "defaultPaginationMethod": "index",
                "defaultPageSize": DEFAULT_PAGE_SIZE,
                "maxPageSize": MAX_PAGE_SIZE,
                "cursorTimeout": int(LIFETIME.total_seconds()),
            },
            "changePassword": {"supported": False},
            "sort": {"supported": True},
            "etag": {"supported": True},
            "authenticationSchemes": [
                {
                    "type": "oauthbearertoken",
                    "name": "API key",
                    "description": "An API key of the organization's provisioning integration, "
                    "sent as a bearer token (RFC 6750).",
                    "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                    "primary": True,
                }
            ],
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": f"{request.base_url}/ServiceProviderConfig",
            },
        }
    )


def refuse_filter(request: ScimRequest, name: str) -> None:
    """Refuse (403) a filter, as RFC 7644 section 4 requires for discovery."""
    if request.parameter("filter") is not None:
        raise ScimError(403, None, f"/{name} cannot be filtered. Send the request without filter.")


class Collection:
    """A collection of documents about resource types: all documents, or one by its id."""

    def __init__(self, name: str, types: Sequence[ResourceType], describe: Describe) -> None:
        self._name = name
        self._types = types
        self._describe = describe

    async def list(self, request: ScimRequest) -> ScimResponse:
        """All documents; refuses (403) a filter."""
        refuse_filter(request, self._name)
        documents = self._documents(request)
        return document_response(list_response(documents, len(documents), 1))

    async def get(self, request: ScimRequest) -> ScimResponse:
        """One document; refuses (404) an unknown id."""
        wanted = request.resource_id.lower()
        for document in self._documents(request):
            if document["id"].lower() == wanted:
                return document_response(document)
        raise ScimError(404, None, f"/{self._name} has no entry {request.resource_id[:80]}.")

    def _documents(self, request: ScimRequest) -> Documents:
        types = [request.own(each) for each in self._types]
        return self._describe(types, request.base_url)


def schemas(types: Sequence[ResourceType]) -> Collection:
    """/Schemas (RFC 7643 section 7)."""
    return Collection("Schemas", types, schema.schema_documents)


def resource_types(types: Sequence[ResourceType]) -> Collection:
    """/ResourceTypes (RFC 7643 section 6)."""
    return Collection("ResourceTypes", types, schema.resource_type_documents)
