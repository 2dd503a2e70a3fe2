"""Conversion of the request options `request_id` and `validate_only`."""

from copy import deepcopy
from hashlib import blake2b
from typing import TypeAlias
from uuid import UUID

from cloudacademy.users.v1 import groups_pb2, users_pb2

from chassis.rpc.uuids import read_uuid
from usersvc.domain.idempotency import CreateRequest

Request: TypeAlias = users_pb2.CreateUserRequest | groups_pb2.CreateGroupRequest


def to_create_request(organization_id: UUID, request: Request) -> CreateRequest | None:
    """The id and digest of a repeatable create request; None without `request_id`.

    Refuses InvalidField.
    """
    if not request.request_id:
        return None
    request_id = read_uuid("request_id", request.request_id)
    content = deepcopy(request)
    content.ClearField("validate_only")
    digest = blake2b(request.DESCRIPTOR.full_name.encode(), digest_size=16)
    digest.update(content.SerializeToString(deterministic=True))
    return CreateRequest(organization_id, request_id, digest.digest())


def clear_fields(message: users_pb2.User | groups_pb2.Group, *fields: str) -> None:
    """Clear fields that only a committed write assigns. `validate_only` must not return them."""
    for field in fields:
        message.ClearField(field)
