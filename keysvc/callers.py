"""Who may call what, by the name in a caller's certificate."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_GATEWAY: Final = frozenset({"gateway"})
_OPERATOR: Final = frozenset({"operator"})

CALLERS: Final[Mapping[str, Mapping[str, AbstractSet[str]]]] = {
    "cloudacademy.keys.v1.OrganizationService": {
        "CreateOrganization": _OPERATOR,
        "GetOrganization": _OPERATOR | {"billing"},
        "ListOrganizations": _OPERATOR | {"billing"},
    },
    "cloudacademy.keys.v1.IntegrationService": {
        "GetIntegration": _OPERATOR,
        "ActivateIntegration": _OPERATOR,
        "DeactivateIntegration": _OPERATOR,
    },
    "cloudacademy.keys.v1.KeyService": {
        "GenerateKey": _OPERATOR,
        "ListKeys": _OPERATOR,
        "RevokeKey": _OPERATOR,
        "Authenticate": _GATEWAY,
        "WatchKeys": _GATEWAY,
    },
}
