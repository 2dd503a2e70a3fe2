"""The servicer of UserService."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import grpc
from cloudacademy.users.v1 import users_pb2, users_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.etags import require_etag
from chassis.rpc.uuids import read_uuid
from usersvc.domain import extensions, users
from usersvc.domain.changes import Origin
from usersvc.domain.schemas import Schema
from usersvc.domain.users import Profile, User
from usersvc.rpc import page_tokens
from usersvc.rpc.convert.filter import names_extension
from usersvc.rpc.convert.listing import (
    fitting,
    known_total,
    not_negative,
    omitted_bytes,
    page_limit,
    to_query,
)
from usersvc.rpc.convert.lookup import from_batch, from_matches, to_ids, to_keys
from usersvc.rpc.convert.request import clear_fields, to_create_request
from usersvc.rpc.convert.user import from_user, reference, to_group_view, to_origin, to_profile
from usersvc.store.listing.extension_fields import with_extension_fields
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.user_fields import USERS
from usersvc.store.schemas import SchemaStore
from usersvc.store.users.store import UserStore

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class UserServicer(users_pb2_grpc.UserServiceServicer):
    """Converts requests to domain values, calls the store, and converts the results to messages."""

    def __init__(self, store: UserStore, schemas: SchemaStore, clock: Clock) -> None:
        self._store = store
        self._schemas = schemas
        self._clock = clock

    async def CreateUser(  # noqa: N802 - the name in the proto file
        self, request: users_pb2.CreateUserRequest, context: Context
    ) -> users_pb2.CreateUserResponse:
        """Add a user."""
        organization_id = read_uuid("organization_id", request.organization_id)
        profile = users.with_creation_defaults(to_profile(request.user))
        users.check(profile)
        user = await self._store.create(
            organization_id,
            profile,
            self._clock(),
            to_origin(context),
            request=to_create_request(organization_id, request),
            validate_only=request.validate_only,
        )
        message = from_user(user)
        if request.validate_only:
            clear_fields(message, "id", "etag")
        return users_pb2.CreateUserResponse(user=message)

    async def GetUser(  # noqa: N802
        self, request: users_pb2.GetUserRequest, context: Context
    ) -> users_pb2.GetUserResponse:
        """Read one user."""
        organization_id = read_uuid("organization_id", request.organization_id)
        user_id = read_uuid("user_id", request.user_id)
        user = await self._store.get(organization_id, user_id, to_group_view(request))
        message = from_user(user)
        omitted = omitted_bytes(message, _max_bytes(request))
        return users_pb2.GetUserResponse(
            user=reference(message) if omitted else message, omitted_bytes=omitted
        )

    async def BatchGetUsers(  # noqa: N802
        self, request: users_pb2.BatchGetUsersRequest, context: Context
    ) -> users_pb2.BatchGetUsersResponse:
        """Read several users by their ids."""
        organization_id = read_uuid("organization_id", request.organization_id)
        ids = to_ids(request)
        view = to_group_view(request)
        found = await self._store.by_ids(organization_id, ids)
        if view is not None:
            found = await self._store.with_groups(found, view)
        return from_batch(ids, found)

    async def LookupUsers(  # noqa: N802
        self, request: users_pb2.LookupUsersRequest, context: Context
    ) -> users_pb2.LookupUsersResponse:
        """Find users by their user names and external ids."""
        organization_id = read_uuid("organization_id", request.organization_id)
        keys = to_keys(request)
        view = to_group_view(request)
        matches = await self._store.by_keys(organization_id, keys)
        if view is not None:
            users = [user for match in matches for user in match.users]
            read = await self._store.with_groups(users, view)
            with_groups = {user.user_id: user for user in read}
            matches = [
                replace(match, users=tuple([with_groups[user.user_id] for user in match.users]))
                for match in matches
            ]
        return from_matches(request.keys, matches)

    async def ListUsers(  # noqa: N802
        self, request: users_pb2.ListUsersRequest, context: Context
    ) -> users_pb2.ListUsersResponse:
        """Read a page of users."""
        resource = await self._resource(request)
        query, digest = to_query(request, resource)
        view = to_group_view(request)
        response = users_pb2.ListUsersResponse()
        total = None
        if not request.omit_users:
            page = await self._store.list(query, resource)
            found: Sequence[User] = page.items
            if view is not None:
                found = await self._store.with_groups(found, view)
            messages = [from_user(user) for user in found]
            limit = _max_bytes(request)
            omitted = omitted_bytes(messages[0], limit) if messages else 0
            page = page.first(fitting(messages, page_limit(limit)))
            if omitted:
                response.omitted_bytes = omitted
            else:
                response.users.extend(messages[: len(page.items)])
            if page.next is not None:
                response.next_page_token = page_tokens.encode(digest, page.next)
            total = known_total(query, page)
        if request.count_total:
            if total is None:
                total = await self._store.count(query.organization_id, query.filter, resource)
            response.total_size = total
        return response

    async def UpdateUser(  # noqa: N802
        self, request: users_pb2.UpdateUserRequest, context: Context
    ) -> users_pb2.UpdateUserResponse:
        """Change the fields that the mask names."""
        organization_id = read_uuid("organization_id", request.organization_id)
        user_id = read_uuid("user.id", request.user.id)
        if not request.update_mask.paths:
            raise InvalidField("update_mask", "must name at least one field")
        view = to_group_view(request)
        change = _Change(
            new=to_profile(request.user),
            mask=tuple(request.update_mask.paths),
            etags=(request.etag, request.user.etag),
        )
        origin = to_origin(context)
        user = await self._store.get(organization_id, user_id)
        written = await self._write_unlocked(
            user, change, origin, validate_only=request.validate_only
        )
        user = written or await self._store.change(
            organization_id,
            user_id,
            change.apply,
            change.new.extensions,
            now=self._clock(),
            origin=origin,
            validate_only=request.validate_only,
        )
        if view is not None:
            (user,) = await self._store.with_groups([user], view)
        return _update_response(request, user)

    async def _write_unlocked(
        self, user: User, change: "_Change", origin: Origin, *, validate_only: bool
    ) -> User | None:
        """The user after the change; None if another write came first, or schemas are needed.

        A schema must not be deleted while values for it are written. So a change of extensions is
        left to `UserStore.change`, which locks the schemas.
        """
        if change.needs_schemas(user):
            return None
        profile = change.apply(user)
        if profile == user.profile:
            return user
        return await self._store.write(
            user, profile, self._clock(), origin, validate_only=validate_only
        )

    async def DeleteUser(  # noqa: N802
        self, request: users_pb2.DeleteUserRequest, context: Context
    ) -> users_pb2.DeleteUserResponse:
        """Delete a user permanently."""
        organization_id = read_uuid("organization_id", request.organization_id)
        user_id = read_uuid("user_id", request.user_id)
        version = users.parse_etag(request.etag) if request.etag else None
        await self._store.delete(
            organization_id,
            user_id,
            version,
            now=self._clock(),
            origin=to_origin(context),
            validate_only=request.validate_only,
        )
        return users_pb2.DeleteUserResponse()

    async def _resource(self, request: users_pb2.ListUsersRequest) -> Resource:
        """The fields that the list may use.

        The organization's schemas are read only if the filter or order names an extension.
        """
        if not (extensions.is_urn(request.order_by) or names_extension(request.filter)):
            return USERS
        organization_id = read_uuid("organization_id", request.organization_id)
        owned = await self._schemas.list(organization_id)
        return with_extension_fields(USERS, [each.schema for each in owned])


@dataclass(frozen=True, slots=True)
class _Change:
    """The fields that an update names, with their new values."""

    new: Profile
    mask: tuple[str, ...]
    etags: tuple[str, ...]
    """The required versions of the user; an empty one means any version."""

    def needs_schemas(self, user: User) -> bool:
        """Whether the change affects extension values, which are validated against schemas."""
        has_extensions = bool(user.profile.extensions or self.new.extensions)
        return has_extensions and extensions.are_in_mask(self.mask)

    def apply(self, user: User, schemas: Sequence[Schema] = ()) -> Profile:
        """The user's profile after the change. Refuses ETAG_MISMATCH, InvalidField and others."""
        require_etag(self.etags, user.etag)
        profile, new, mask = user.profile, self.new, self.mask
        changed = users.apply(profile, new, mask)
        users.check(changed)
        after = extensions.apply(profile.extensions, new.extensions, mask, schemas)
        return changed if after == changed.extensions else replace(changed, extensions=after)


def _update_response(
    request: users_pb2.UpdateUserRequest, user: User
) -> users_pb2.UpdateUserResponse:
    """The user, or only a reference if the user exceeds the caller's `max_bytes`."""
    message = from_user(user)
    omitted = omitted_bytes(message, _max_bytes(request))
    if omitted:
        message = reference(message)
    if request.validate_only:
        clear_fields(message, "etag")
    return users_pb2.UpdateUserResponse(user=message, omitted_bytes=omitted)


def _max_bytes(
    request: users_pb2.GetUserRequest | users_pb2.ListUsersRequest | users_pb2.UpdateUserRequest,
) -> int:
    """The size limit of the response in bytes; 0 means no limit. Refuses InvalidField."""
    return not_negative("max_bytes", request.max_bytes)
