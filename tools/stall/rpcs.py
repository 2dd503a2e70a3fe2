"""Calls of usersvc and keysvc at their limits, as services inside the region can send them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from cloudacademy.batch.v1 import batch_pb2, batch_pb2_grpc
from cloudacademy.keys.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    sso_pb2,
    sso_pb2_grpc,
)
from cloudacademy.users.v1 import (
    activity_pb2,
    activity_pb2_grpc,
    changes_pb2,
    changes_pb2_grpc,
    filter_pb2,
    groups_pb2,
    groups_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

from tools.stall.inputs.bodies import ID
from tools.stall.parties import Attacker, Victim
from tools.stall.prober import TIMEOUT_SECONDS, RpcProbe
from usersvc.domain.activities import MAX_RECORDED
from usersvc.domain.groups import MAX_CHANGED_MEMBERS
from usersvc.rpc.batching.stream import MAX_PENDING

USERS: Final = "/cloudacademy.users.v1.UserService/"
OPTIONS: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


@dataclass(frozen=True, slots=True)
class RpcAttack:
    """A call at its limit."""

    shape: str
    call: Any
    request: Any

    def __call__(self) -> str:
        try:
            response = self.call(self.request, timeout=TIMEOUT_SECONDS)
            if isinstance(response, Iterator):
                for _ in response:
                    pass
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    @property
    def size(self) -> int:
        return self.request.ByteSize()


def user_probe(target: str, victim: Victim) -> RpcProbe:
    """The cheapest call of usersvc."""
    request = users_pb2.GetUserRequest(
        organization_id=victim.organization_id, user_id=victim.user_id
    )
    return RpcProbe(target, f"{USERS}GetUser", request.SerializeToString())


def key_probe(target: str, victim: Victim) -> RpcProbe:
    """The cheapest call of keysvc."""
    request = keys_pb2.GetIntegrationRequest(organization_id=victim.organization_id)
    method = "/cloudacademy.keys.v1.IntegrationService/GetIntegration"
    return RpcProbe(target, method, request.SerializeToString())


def of_usersvc(target: str, attacker: Attacker) -> Iterator[RpcAttack]:
    """The large calls of usersvc."""
    with grpc.insecure_channel(target, OPTIONS) as channel:
        yield from _of_usersvc(channel, attacker)


def _of_usersvc(channel: grpc.Channel, attacker: Attacker) -> Iterator[RpcAttack]:
    own = {"organization_id": attacker.organization_id}
    yield from _of_groups(groups_pb2_grpc.GroupServiceStub(channel), own, attacker)
    yield from _of_users(users_pb2_grpc.UserServiceStub(channel), own, attacker.user_ids)
    refusal = activity_pb2.RefusedRequest(
        method="POST", target="t" * 2_000, body='"a",' * 1_000, status=400, detail="d" * 4_000
    )
    refused = activity_pb2.Activity(**own, request_id="1", refused=True, refusal=refusal)
    refused.time.GetCurrentTime()
    yield RpcAttack(
        "RecordRefusals of 100",
        activity_pb2_grpc.ActivityServiceStub(channel).RecordRefusals,
        activity_pb2.RecordRefusalsRequest(activities=[refused] * MAX_RECORDED),
    )
    yield RpcAttack(
        "ReadSnapshot",
        changes_pb2_grpc.ChangeServiceStub(channel).ReadSnapshot,
        changes_pb2.ReadSnapshotRequest(**own),
    )
    user = users_pb2.GetUserRequest(**own, user_id=attacker.user_ids[0]).SerializeToString()
    calls = [
        batch_pb2.Call(number=number, method=f"{USERS}GetUser", request=user, timeout_ms=5_000)
        for number in range(MAX_PENDING)
    ]
    stream_calls = batch_pb2_grpc.BatchServiceStub(channel).StreamCalls
    yield RpcAttack(
        f"StreamCalls with a message of {MAX_PENDING} calls",
        lambda message, timeout: stream_calls(iter([message]), timeout=timeout),
        batch_pb2.StreamCallsRequest(calls=calls),
    )


def _of_groups(stub: Any, own: dict[str, str], attacker: Attacker) -> Iterator[RpcAttack]:
    user_ids = list(attacker.user_ids)
    unknown_ids = [ID % number for number in range(MAX_CHANGED_MEMBERS)]
    texts = [f"a{number}" for number in range(MAX_CHANGED_MEMBERS)]
    changes = {
        "adding 100,000 unknown ids": groups_pb2.MemberChange(add_member_ids=unknown_ids),
        "adding 100,000 texts": groups_pb2.MemberChange(add_member_ids=texts, keep_unknown=True),
        "removing 100,000 unknown ids": groups_pb2.MemberChange(remove_member_ids=unknown_ids),
        "removing 100,000 texts": groups_pb2.MemberChange(remove_member_ids=texts),
        "adding 30,000 people": groups_pb2.MemberChange(add_member_ids=user_ids),
        "removing 30,000 people": groups_pb2.MemberChange(remove_member_ids=user_ids),
        "replacing by 30,000 people": groups_pb2.MemberChange(clear=True, add_member_ids=user_ids),
    }
    for name, change in changes.items():
        request = groups_pb2.UpdateGroupRequest(
            group=groups_pb2.Group(id=attacker.group_id, **own), members=change
        )
        request.organization_id = own["organization_id"]
        yield RpcAttack(f"UpdateGroup {name}", stub.UpdateGroup, request)
    yield RpcAttack(
        "CreateGroup of 30,000 people",
        stub.CreateGroup,
        groups_pb2.CreateGroupRequest(
            **own, group=groups_pb2.Group(display_name="a"), member_ids=user_ids, validate_only=True
        ),
    )
    yield RpcAttack(
        "ListMembers of 10,000",
        stub.ListMembers,
        groups_pb2.ListMembersRequest(**own, group_id=attacker.group_id, page_size=10_000),
    )


def _of_users(stub: Any, own: dict[str, str], user_ids: Sequence[str]) -> Iterator[RpcAttack]:
    yield RpcAttack(
        "BatchGetUsers of 1,000",
        stub.BatchGetUsers,
        users_pb2.BatchGetUsersRequest(**own, user_ids=user_ids[:1_000]),
    )
    lists = {
        "of 1,000": {},
        "by a sub-attribute": {"order_by": "name.family_name"},
        "by 190 conditions": {"filter": _conditions("title")},
        "by 190 conditions on values": {"filter": _conditions("emails.value")},
    }
    for name, options in lists.items():
        request = users_pb2.ListUsersRequest(**own, page_size=1_000, count_total=True, **options)
        yield RpcAttack(f"ListUsers {name}", stub.ListUsers, request)
    values = [users_pb2.TypedValue(value=f"{n}@a.test", type="work") for n in range(250)]
    yield RpcAttack(
        "CreateUser with 250 values of each kind",
        stub.CreateUser,
        users_pb2.CreateUserRequest(
            **own,
            user=users_pb2.User(
                user_name="a@a.test", emails=values, phone_numbers=values, roles=values
            ),
            validate_only=True,
        ),
    )


def _conditions(field: str) -> filter_pb2.Filter:
    each = filter_pb2.Comparison(
        field=field, operator=filter_pb2.OPERATOR_CONTAINS, text="a" * 8_000
    )
    filters = [filter_pb2.Filter(comparison=each)] * 190
    return filter_pb2.Filter(any_of=filter_pb2.AnyOf(filters=filters))


def of_keysvc(target: str, attacker: Attacker) -> Iterator[RpcAttack]:
    """The large calls of keysvc."""
    with grpc.insecure_channel(target, OPTIONS) as channel:
        yield from _of_keysvc(channel, attacker)


def _of_keysvc(channel: grpc.Channel, attacker: Attacker) -> Iterator[RpcAttack]:
    own = {"organization_id": attacker.organization_id}
    keys = keys_pb2_grpc.KeyServiceStub(channel)
    for name, token in {
        "a long token": "cak_us_" + "a" * 60_000,
        "a token of underscores": "cak_us_" * 9_000,
        "a token that is not ASCII": "ß" * 30_000,
    }.items():
        yield RpcAttack(
            f"Authenticate {name}", keys.Authenticate, keys_pb2.AuthenticateRequest(token=token)
        )
    for name, text in {
        "spaces": "-----BEGIN CERTIFICATE-----" + " " * 19_000,
        "base64": "-----BEGIN CERTIFICATE-----\n" + "QUFB\n" * 3_900,
    }.items():
        connection = sso_pb2.SsoConnection(
            sso_url="https://a.test/" + "a" * 1_900,
            idp_entity_id="a" * 1_024,
            certificates=[text] * 5,
            domains=["a." * 120 + "test"] * 5,
        )
        yield RpcAttack(
            f"UpdateSsoConnection of {name}",
            sso_pb2_grpc.SsoServiceStub(channel).UpdateSsoConnection,
            sso_pb2.UpdateSsoConnectionRequest(**own, connection=connection),
        )
    organization = keys_pb2.Organization(display_name="ß" * 1_000_000)
    yield RpcAttack(
        "CreateOrganization of a long name",
        keys_pb2_grpc.OrganizationServiceStub(channel).CreateOrganization,
        keys_pb2.CreateOrganizationRequest(organization=organization),
    )
    yield RpcAttack(
        "ListAuditEvents",
        audit_pb2_grpc.AuditServiceStub(channel).ListAuditEvents,
        audit_pb2.ListAuditEventsRequest(**own, page_size=1_000),
    )
