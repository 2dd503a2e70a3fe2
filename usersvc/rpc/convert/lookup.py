"""Conversion between messages and domain values of requests for several users."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from cloudacademy.users.v1 import users_pb2

from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain import limits
from usersvc.domain.lookups import MAX_USERS, KeyKind, Match, UserKey
from usersvc.domain.users import User
from usersvc.rpc.convert.listing import MAX_PAGE_BYTES
from usersvc.rpc.convert.user import from_user

_KINDS: Final = {"user_name": KeyKind.USER_NAME, "external_id": KeyKind.EXTERNAL_ID}


def to_ids(request: users_pb2.BatchGetUsersRequest) -> list[UUID]:
    """The ids of a request without duplicates. Refuses InvalidField."""
    _check_count("user_ids", len(request.user_ids))
    ids = [read_uuid(f"user_ids[{i}]", text) for i, text in enumerate(request.user_ids)]
    return list(dict.fromkeys(ids))


def to_keys(request: users_pb2.LookupUsersRequest) -> list[UserKey]:
    """The keys of a request. Refuses InvalidField."""
    _check_count("keys", len(request.keys))
    return [_to_key(f"keys[{i}]", key) for i, key in enumerate(request.keys)]


def _check_count(field: str, count: int) -> None:
    if count > MAX_USERS:
        raise InvalidField(field, f"has more than {MAX_USERS:,} elements")


def _to_key(field: str, key: users_pb2.UserKey) -> UserKey:
    name = key.WhichOneof("key")
    text: str = getattr(key, name) if name else ""
    if not text:
        raise InvalidField(field, "is empty")
    limits.check(f"{field}.{name}", text, limits.MAX_KEY_BYTES)
    return UserKey(_KINDS[name], text)


def from_batch(ids: Iterable[UUID], users: Iterable[User]) -> users_pb2.BatchGetUsersResponse:
    """The users that fit, in the order of `ids`; then the missing ids and the remaining ids."""
    found = {user.user_id: user for user in users}
    response = users_pb2.BatchGetUsersResponse()
    space = _ResponseSpace()
    for user_id in ids:
        user = found.get(user_id)
        if user is None:
            response.missing_user_ids.append(str(user_id))
        elif (message := space.add(user)) is not None:
            response.users.append(message)
        else:
            response.remaining_user_ids.append(str(user_id))
    return response


def from_matches(
    keys: Sequence[users_pb2.UserKey], matches: Sequence[Match]
) -> users_pb2.LookupUsersResponse:
    """The matches that fit, in the order of their keys; then the remaining keys."""
    response = users_pb2.LookupUsersResponse()
    space = _ResponseSpace()
    for key, match in zip(keys, matches, strict=True):
        added = [space.add(user) for user in match.users] if not space.full else []
        users = [message for message in added if message is not None]
        if space.full and not users:
            response.remaining_keys.append(key)
        else:
            more = match.more or len(users) < len(match.users)
            response.matches.add(key=key, users=users, more_users=more)
    return response


class _ResponseSpace:
    """The space left in a response. The first user always fits.

    After the first user that does not fit, no other is added. So the omitted users are always the
    last ones of the request.
    """

    def __init__(self) -> None:
        self._size = 0
        self.full = False

    def add(self, user: User) -> users_pb2.User | None:
        """A user as a message, if there is space for it."""
        if self.full:
            return None
        message = from_user(user)
        size = message.ByteSize()
        self.full = self._size > 0 and self._size + size > MAX_PAGE_BYTES
        self._size += size
        return None if self.full else message
