"""Messages that name several users ↔ domain values."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from cloudacademy.users.v1 import users_pb2

from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain import limits as texts
from usersvc.domain.lookups import MAX_USERS, KeyKind, Match, UserKey
from usersvc.domain.users import User
from usersvc.rpc.convert import user as wire
from usersvc.rpc.convert.listing import MAX_PAGE_BYTES

_KINDS: Final = {"user_name": KeyKind.USER_NAME, "external_id": KeyKind.EXTERNAL_ID}


def to_ids(request: users_pb2.BatchGetUsersRequest) -> list[UUID]:
    """The ids of a request, each once. Refuses InvalidField."""
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
    texts.check(f"{field}.{name}", text, texts.MAX_KEY_BYTES)
    return UserKey(_KINDS[name], text)


def from_batch(ids: Iterable[UUID], users: Iterable[User]) -> users_pb2.BatchGetUsersResponse:
    """Users in the order of their ids, as many as fit; and whom there is no user for."""
    found = {user.user_id: user for user in users}
    response = users_pb2.BatchGetUsersResponse()
    room = _Room()
    for user_id in ids:
        user = found.get(user_id)
        if user is None:
            response.missing_user_ids.append(str(user_id))
        elif (message := room.take(user)) is not None:
            response.users.append(message)
        else:
            response.remaining_user_ids.append(str(user_id))
    return response


def from_matches(
    keys: Sequence[users_pb2.UserKey], matches: Sequence[Match]
) -> users_pb2.LookupUsersResponse:
    """Matches in the order of their keys, as many as fit."""
    response = users_pb2.LookupUsersResponse()
    room = _Room()
    for key, match in zip(keys, matches, strict=True):
        taken = [room.take(user) for user in match.users] if not room.full else []
        users = [message for message in taken if message is not None]
        if room.full and not users:
            response.remaining_keys.append(key)
        else:
            more = match.more or len(users) < len(match.users)
            response.matches.add(key=key, users=users, more_users=more)
    return response


class _Room:
    """What is left of an answer. The first user goes in, whatever its size; none follows one that
    did not, so that what is left off is the end of the request."""

    def __init__(self) -> None:
        self._size = 0
        self.full = False

    def take(self, user: User) -> users_pb2.User | None:
        """A user as a message, if there is room for it."""
        if self.full:
            return None
        message = wire.from_user(user)
        size = message.ByteSize()
        self.full = self._size > 0 and self._size + size > MAX_PAGE_BYTES
        self._size += size
        return None if self.full else message
