"""Conversion between messages and domain values of users. It does not validate them."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import grpc
from cloudacademy.users.v1 import users_pb2

from chassis.rpc.interceptor import REQUEST_ID_KEY
from chassis.rpc.timestamps import to_timestamp
from chassis.rpc.uuids import is_uuid
from usersvc.domain.activities import MAX_CLIENT
from usersvc.domain.changes import Origin
from usersvc.domain.users import (
    NO_ENTERPRISE,
    NO_NAME,
    Address,
    EnterpriseUser,
    GroupView,
    Name,
    Profile,
    TypedValue,
    User,
)
from usersvc.rpc.convert.extension import from_extensions, to_extensions
from usersvc.rpc.convert.listing import not_negative

KEY_ID_KEY: Final = "x-key-id"
CLIENT_KEY: Final = "x-client"
MAX_REQUEST_ID: Final = 100


def to_origin(context: "grpc.aio.ServicerContext[Any, Any]") -> Origin:
    """The origin of a call from its metadata: the request id, the API key id and the client."""
    metadata = dict(context.invocation_metadata() or ())
    key_id = str(metadata.get(KEY_ID_KEY, ""))
    return Origin(
        request_id=str(metadata.get(REQUEST_ID_KEY, ""))[:MAX_REQUEST_ID],
        key_id=UUID(key_id) if is_uuid(key_id) else None,
        client=str(metadata.get(CLIENT_KEY, ""))[:MAX_CLIENT],
    )


def to_group_view(
    request: users_pb2.GetUserRequest
    | users_pb2.BatchGetUsersRequest
    | users_pb2.LookupUsersRequest
    | users_pb2.ListUsersRequest
    | users_pb2.UpdateUserRequest,
) -> GroupView | None:
    """The groups to return with users; None means no groups. Refuses InvalidField."""
    max_groups = not_negative("max_groups", request.max_groups)
    if request.view != users_pb2.USER_VIEW_WITH_GROUPS:
        return None
    truncated = isinstance(request, users_pb2.GetUserRequest) and request.truncate_groups
    return GroupView(max_groups or None, truncated)


def to_profile(user: users_pb2.User) -> Profile:
    """The profile in a message, without the output-only fields."""
    return Profile(
        user_name=user.user_name,
        external_id=user.external_id,
        active=user.active if user.HasField("active") else None,
        name=_to_name(user.name) if user.HasField("name") else NO_NAME,
        display_name=user.display_name,
        nick_name=user.nick_name,
        profile_url=user.profile_url,
        title=user.title,
        user_type=user.user_type,
        preferred_language=user.preferred_language,
        locale=user.locale,
        timezone=user.timezone,
        emails=_to_values(user.emails),
        phone_numbers=_to_values(user.phone_numbers),
        ims=_to_values(user.ims),
        photos=_to_values(user.photos),
        addresses=tuple([_to_address(address) for address in user.addresses]),
        entitlements=_to_values(user.entitlements),
        roles=_to_values(user.roles),
        x509_certificates=_to_values(user.x509_certificates),
        enterprise=_to_enterprise(user.enterprise)
        if user.HasField("enterprise")
        else NO_ENTERPRISE,
        extensions=to_extensions(user.extensions) if user.extensions else {},
    )


def _to_name(name: users_pb2.Name) -> Name:
    return Name(
        formatted=name.formatted,
        family_name=name.family_name,
        given_name=name.given_name,
        middle_name=name.middle_name,
        honorific_prefix=name.honorific_prefix,
        honorific_suffix=name.honorific_suffix,
    )


def _to_values(values: Iterable[users_pb2.TypedValue]) -> tuple[TypedValue, ...]:
    return tuple(
        [
            TypedValue(
                value=value.value,
                display=value.display,
                type=value.type,
                primary=value.primary if value.HasField("primary") else None,
            )
            for value in values
        ]
    )


def _to_address(address: users_pb2.Address) -> Address:
    return Address(
        formatted=address.formatted,
        street_address=address.street_address,
        locality=address.locality,
        region=address.region,
        postal_code=address.postal_code,
        country=address.country,
        type=address.type,
        primary=address.primary if address.HasField("primary") else None,
    )


def _to_enterprise(enterprise: users_pb2.EnterpriseUser) -> EnterpriseUser:
    return EnterpriseUser(
        employee_number=enterprise.employee_number,
        cost_center=enterprise.cost_center,
        organization=enterprise.organization,
        division=enterprise.division,
        department=enterprise.department,
        manager=enterprise.manager.value,
    )


def reference(user: users_pb2.User) -> users_pb2.User:
    """The user reduced to its ids, version and times."""
    return users_pb2.User(
        id=user.id,
        organization_id=user.organization_id,
        etag=user.etag,
        create_time=user.create_time,
        update_time=user.update_time,
    )


def from_user(user: User) -> users_pb2.User:
    """A user as a message."""
    profile = user.profile
    return users_pb2.User(
        id=str(user.user_id),
        organization_id=str(user.organization_id),
        etag=user.etag,
        create_time=to_timestamp(user.create_time),
        update_time=to_timestamp(user.update_time),
        user_name=profile.user_name,
        external_id=profile.external_id,
        active=profile.active,
        name=_from_name(profile.name),
        display_name=profile.display_name,
        nick_name=profile.nick_name,
        profile_url=profile.profile_url,
        title=profile.title,
        user_type=profile.user_type,
        preferred_language=profile.preferred_language,
        locale=profile.locale,
        timezone=profile.timezone,
        emails=_from_values(profile.emails),
        phone_numbers=_from_values(profile.phone_numbers),
        ims=_from_values(profile.ims),
        photos=_from_values(profile.photos),
        addresses=[_from_address(address) for address in profile.addresses],
        entitlements=_from_values(profile.entitlements),
        roles=_from_values(profile.roles),
        x509_certificates=_from_values(profile.x509_certificates),
        enterprise=_from_enterprise(profile.enterprise),
        extensions=from_extensions(profile.extensions),
        groups=[
            users_pb2.GroupMembership(
                group_id=str(group.group_id), display_name=group.display_name, direct=group.direct
            )
            for group in user.groups.groups
        ],
        more_groups=user.groups.more,
    )


def _from_name(name: Name) -> users_pb2.Name | None:
    if name == NO_NAME:
        return None
    return users_pb2.Name(
        formatted=name.formatted,
        family_name=name.family_name,
        given_name=name.given_name,
        middle_name=name.middle_name,
        honorific_prefix=name.honorific_prefix,
        honorific_suffix=name.honorific_suffix,
    )


def _from_values(values: tuple[TypedValue, ...]) -> list[users_pb2.TypedValue]:
    return [
        users_pb2.TypedValue(
            value=value.value, display=value.display, type=value.type, primary=value.primary
        )
        for value in values
    ]


def _from_address(address: Address) -> users_pb2.Address:
    return users_pb2.Address(
        formatted=address.formatted,
        street_address=address.street_address,
        locality=address.locality,
        region=address.region,
        postal_code=address.postal_code,
        country=address.country,
        type=address.type,
        primary=address.primary,
    )


def _from_enterprise(enterprise: EnterpriseUser) -> users_pb2.EnterpriseUser | None:
    if enterprise == NO_ENTERPRISE:
        return None
    return users_pb2.EnterpriseUser(
        employee_number=enterprise.employee_number,
        cost_center=enterprise.cost_center,
        organization=enterprise.organization,
        division=enterprise.division,
        department=enterprise.department,
        manager=users_pb2.Manager(value=enterprise.manager) if enterprise.manager else None,
    )
