"""The methods that each caller may call, by the name in the caller's certificate."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

_GATEWAY: Final = frozenset({"gateway"})
_OPERATED: Final = _GATEWAY | {"operator"}
_READERS: Final = _OPERATED | {"billing", "entitlement", "search", "email"}

CALLERS: Final[Mapping[str, Mapping[str, AbstractSet[str]]]] = {
    "cloudacademy.users.v1.UserService": {
        "CreateUser": _GATEWAY,
        "GetUser": _READERS,
        "BatchGetUsers": _READERS,
        "LookupUsers": _READERS,
        "ListUsers": _OPERATED | {"billing", "entitlement", "search"},
        "UpdateUser": _GATEWAY,
        "DeleteUser": _GATEWAY,
    },
    "cloudacademy.users.v1.GroupService": {
        "CreateGroup": _GATEWAY,
        "GetGroup": _OPERATED | {"entitlement", "search"},
        "ListGroups": _OPERATED | {"entitlement", "search"},
        "UpdateGroup": _GATEWAY,
        "DeleteGroup": _GATEWAY,
        "ListMembers": _OPERATED | {"entitlement", "search", "email"},
    },
    "cloudacademy.users.v1.SchemaService": {
        "CreateSchema": _OPERATED,
        "GetSchema": _OPERATED | {"search"},
        "ListSchemas": _OPERATED | {"search"},
        "DeleteSchema": _OPERATED,
        "WatchSchemas": _GATEWAY,
    },
    "cloudacademy.users.v1.WalkService": {"FindWalk": _GATEWAY, "SaveWalk": _GATEWAY},
    "cloudacademy.peers.v1.PeerService": {"ComparePeer": _GATEWAY},
    # Each call of the stream is authorized by itself.
    "cloudacademy.batch.v1.BatchService": {"StreamCalls": _GATEWAY},
    "cloudacademy.users.v1.ChangeService": {
        "WatchChanges": _OPERATED | {"billing", "entitlement", "search"},
        "WatchAllChanges": frozenset({"operator", "search"}),
        "ReadSnapshot": _OPERATED | {"billing", "entitlement", "search"},
        "ReadFullSnapshot": frozenset({"operator", "search"}),
    },
    "cloudacademy.users.v1.SessionService": {
        "CreateSignInLink": frozenset({"operator"}),
        "GetSignInLink": _GATEWAY,
        "SignInWithLink": _GATEWAY,
        "SignInWithAssertion": _GATEWAY,
        "GetSession": _GATEWAY,
        "EndSession": _GATEWAY,
        "ListSessions": _OPERATED,
        "EndSessions": _OPERATED,
    },
    "cloudacademy.users.v1.ActivityService": {
        "RecordRefusals": _GATEWAY,
        "ListActivities": _OPERATED,
        "GetActivity": _OPERATED,
        "CountActivities": _OPERATED,
        "ListCycles": _OPERATED,
    },
}
