"""The callers of each method, by the names in their certificates."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_GATEWAY: Final = frozenset({"gateway"})
_OPERATOR: Final = frozenset({"operator"})
_GATEWAY_AND_OPERATOR: Final = _GATEWAY | _OPERATOR
"""The gateway calls for users of its pages, and operators call with their tools."""

CALLERS: Final[Mapping[str, Mapping[str, AbstractSet[str]]]] = {
    "cloudacademy.keys.v1.OrganizationService": {
        "CreateOrganization": _OPERATOR,
        "GetOrganization": _GATEWAY_AND_OPERATOR | {"billing"},
        "ListOrganizations": _OPERATOR | {"billing"},
    },
    "cloudacademy.keys.v1.IntegrationService": {
        "GetIntegration": _GATEWAY_AND_OPERATOR,
        "ActivateIntegration": _GATEWAY_AND_OPERATOR,
        "DeactivateIntegration": _GATEWAY_AND_OPERATOR,
    },
    "cloudacademy.keys.v1.KeyService": {
        "GenerateKey": _GATEWAY_AND_OPERATOR,
        "ListKeys": _GATEWAY_AND_OPERATOR,
        "RevokeKey": _GATEWAY_AND_OPERATOR,
        "Authenticate": _GATEWAY,
        "WatchKeys": _GATEWAY,
    },
    "cloudacademy.peers.v1.PeerService": {"ComparePeer": _GATEWAY},
    "cloudacademy.keys.v1.AuditService": {
        "RecordAuditEvent": _GATEWAY_AND_OPERATOR,
        "ListAuditEvents": _GATEWAY_AND_OPERATOR,
    },
    "cloudacademy.keys.v1.SsoService": {
        "GetSsoConnection": _GATEWAY_AND_OPERATOR,
        "UpdateSsoConnection": _GATEWAY_AND_OPERATOR,
        "RecordSsoTest": _GATEWAY_AND_OPERATOR,
        "ActivateSsoConnection": _GATEWAY_AND_OPERATOR,
        "DeactivateSsoConnection": _GATEWAY_AND_OPERATOR,
        "FindSsoConnection": _GATEWAY_AND_OPERATOR,
    },
    "cloudacademy.keys.v1.DomainService": {
        "LeaseDomainChecks": _GATEWAY,
        "RecordDomainCheck": _GATEWAY,
        "VerifyDomain": _OPERATOR,
    },
}
