"""scim2-server with the people in memory, as an ASGI application."""

import os

from scim2_models import UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage, InMemoryStorage
from scim2_server.requests import ScimRequest
from scim2_server.utils import load_default_provider

_EXPECTED = f"Bearer {os.environ['PEER_TOKEN']}"


class Application(ASGIApplication):
    """Accepts a single token."""

    def check_auth(self, request: ScimRequest) -> None:
        if request.header("Authorization") != _EXPECTED:
            raise UnauthorizedException


def _application() -> Application:
    provider, storage = load_default_provider(), InMemoryStorage()
    (users,) = [each for each in provider.resource_types if each.id == "User"]
    model = provider.model_for(users)
    for number in range(1, int(os.environ["PEER_PEOPLE"]) + 1):
        storage.create(users, model.model_validate(_person(number)))
    return Application(AsyncInMemoryStorage(storage), provider)


def _person(number: int) -> dict[str, object]:
    name = f"u{number}@bench.test"
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": f"u{number}",
        "userName": name,
        "active": True,
        "name": {"givenName": "Ann", "familyName": "Li", "formatted": "Ann Li"},
        "emails": [{"value": name, "type": "work", "primary": True}],
    }


application = _application()
