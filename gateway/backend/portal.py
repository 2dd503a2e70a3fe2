"""The gRPC stubs that the portal uses."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from cloudacademy.keys.v1 import audit_pb2_grpc, keys_pb2_grpc, sso_pb2_grpc
from cloudacademy.users.v1 import (
    activity_pb2_grpc,
    groups_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2_grpc,
)

from gateway.backend.organization_names import OrganizationNames

if TYPE_CHECKING:
    from cloudacademy.keys.v1.audit_pb2_grpc import AuditServiceAsyncStub
    from cloudacademy.keys.v1.keys_pb2_grpc import (
        IntegrationServiceAsyncStub,
        KeyServiceAsyncStub,
        OrganizationServiceAsyncStub,
    )
    from cloudacademy.keys.v1.sso_pb2_grpc import SsoServiceAsyncStub
    from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceAsyncStub
    from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceAsyncStub
    from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceAsyncStub
    from cloudacademy.users.v1.users_pb2_grpc import UserServiceAsyncStub


@dataclass(frozen=True, slots=True)
class PortalClients:
    """The stubs that the portal needs; call them with `gateway.backend.client.call`."""

    sessions: "SessionServiceAsyncStub"
    activities: "ActivityServiceAsyncStub"
    users: "UserServiceAsyncStub"
    groups: "GroupServiceAsyncStub"
    organizations: "OrganizationServiceAsyncStub"
    integrations: "IntegrationServiceAsyncStub"
    keys: "KeyServiceAsyncStub"
    audit: "AuditServiceAsyncStub"
    sso: "SsoServiceAsyncStub"
    names: OrganizationNames


def portal_clients(
    users: grpc.aio.Channel, keys: grpc.aio.Channel, names: OrganizationNames
) -> PortalClients:
    """The stubs on the channels to usersvc and keysvc."""
    return PortalClients(
        sessions=sessions_pb2_grpc.SessionServiceStub(users),
        activities=activity_pb2_grpc.ActivityServiceStub(users),
        users=users_pb2_grpc.UserServiceStub(users),
        groups=groups_pb2_grpc.GroupServiceStub(users),
        organizations=keys_pb2_grpc.OrganizationServiceStub(keys),
        integrations=keys_pb2_grpc.IntegrationServiceStub(keys),
        keys=keys_pb2_grpc.KeyServiceStub(keys),
        audit=audit_pb2_grpc.AuditServiceStub(keys),
        sso=sso_pb2_grpc.SsoServiceStub(keys),
        names=names,
    )
