"""Who may call what, by the name in a caller's certificate."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_GATEWAY: Final = frozenset({"gateway"})
_OPERATOR: Final = frozenset({"operator"})
_OPERATED: Final = _GATEWAY | _OPERATOR
"""People by the pages that the gateway serves, operators by their tools."""

CALLERS: Final[Mapping[str, Mapping[str, AbstractSet[str]]]] = {
    "cloudacademy.keys.v1.OrganizationService": {
        "CreateOrganization": _OPERATOR,
        "GetOrganization": _OPERATED | {"billing"},
        "ListOrganizations": _OPERATOR | {"billing"},
    },
    "cloudacademy.keys.v1.IntegrationService": {
        "GetIntegration": _OPERATED,
        "ActivateIntegration": _OPERATED,
        "DeactivateIntegration": _OPERATED,
    },
    "cloudacademy.keys.v1.KeyService": {
        "GenerateKey": _OPERATED,
        "ListKeys": _OPERATED,
        "RevokeKey": _OPERATED,
        "Authenticate": _GATEWAY,
        "WatchKeys": _GATEWAY,
    },
    "cloudacademy.keys.v1.AuditService": {
        "ListAuditEvents": _OPERATED,
    },
    "cloudacademy.keys.v1.SsoService": {
        "GetSsoConnection": _OPERATED,
        "UpdateSsoConnection": _OPERATED,
        "RecordSsoTest": _OPERATED,
        "ActivateSsoConnection": _OPERATED,
        "DeactivateSsoConnection": _OPERATED,
        "FindSsoConnection": _OPERATED,
    },
}
