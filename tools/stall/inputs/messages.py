"""Messages to the services at their limits, and the functions that read them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from cloudacademy.users.v1 import activity_pb2, filter_pb2, groups_pb2, users_pb2

from chassis.rpc.uuids import read_uuid
from tools.stall.inputs.bodies import ID
from tools.stall.inputs.texts import TEXTS
from tools.stall.readers import Reader
from usersvc.domain import activities, users
from usersvc.domain.groups import MAX_CHANGED_MEMBERS
from usersvc.rpc.convert.activity import to_refused
from usersvc.rpc.convert.filter import MAX_CONDITIONS, names_extension, to_filter
from usersvc.rpc.convert.group import to_change
from usersvc.rpc.convert.user import to_profile

FILTERS: Final = MAX_CONDITIONS * 20
VALUES: Final = 4_000
TEXT: Final = 256 * 1024

_IDS: Final[Mapping[str, Callable[[int], str]]] = {
    "UUIDs": lambda n: ID % n,
    "UUIDs in upper case": lambda n: (ID % n).upper(),
    "UUIDs without hyphens": lambda n: (ID % n).replace("-", ""),
    "numbers": str,
    "empty texts": lambda _: "",
    "texts of 200 letters": lambda n: f"{n:0>200}",
}


def _adding(text: Callable[[int], str]) -> Callable[[int], groups_pb2.MemberChange]:
    return lambda size: groups_pb2.MemberChange(
        add_member_ids=map(text, range(size)), keep_unknown=True
    )


def _removing(text: Callable[[int], str]) -> Callable[[int], groups_pb2.MemberChange]:
    return lambda size: groups_pb2.MemberChange(remove_member_ids=map(text, range(size)))


def _condition() -> filter_pb2.Filter:
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field="user_name", operator=filter_pb2.OPERATOR_EQUAL, text="a"
        )
    )


def _wide(size: int) -> filter_pb2.Filter:
    return filter_pb2.Filter(all_of=filter_pb2.AllOf(filters=[_condition()] * size))


def _deep(size: int) -> filter_pb2.Filter:
    nested = _condition()
    for _ in range(min(size, 90)):  # protobuf itself reads no more than 100 levels
        nested = filter_pb2.Filter(negation=nested)
    return nested


def _two_levels(size: int) -> filter_pb2.Filter:
    """Two levels of conditions, so that each level stays within its own limit."""
    width = max(1, int(size**0.5))
    return filter_pb2.Filter(any_of=filter_pb2.AnyOf(filters=[_wide(width)] * width))


def _read_filter(message: filter_pb2.Filter) -> None:
    names_extension(message)
    to_filter(message)


def _user(size: int) -> users_pb2.User:
    values = [users_pb2.TypedValue(value=f"{n}@a.test", type="work") for n in range(size)]
    return users_pb2.User(user_name="a", emails=values, phone_numbers=values, roles=values)


def _read_user(message: users_pb2.User) -> None:
    users.check(to_profile(message))


def _refusal(text: str) -> None:
    text = text.encode(errors="replace").decode()  # protobuf refuses surrogates
    message = activity_pb2.Activity(
        organization_id=ID % 0,
        refusal=activity_pb2.RefusedRequest(body=text, target=text, detail=text),
    )
    activities.mentions(to_refused(message))


def _read_members(change: groups_pb2.MemberChange) -> None:
    asyncio.run(to_change(change))


MESSAGES: Final[Mapping[str, Reader]] = {
    "members": Reader(
        _read_members,
        {
            f"{what} {name}": make(text)
            for name, text in _IDS.items()
            for what, make in (("adding", _adding), ("removing", _removing))
        },
        MAX_CHANGED_MEMBERS,
    ),
    "a filter of usersvc": Reader(
        _read_filter, {"wide": _wide, "deep": _deep, "two levels": _two_levels}, FILTERS
    ),
    "a user of usersvc": Reader(_read_user, {"values": _user}, VALUES),
    "a refusal of usersvc": Reader(_refusal, TEXTS, TEXT),
    "an id of usersvc": Reader(lambda text: read_uuid("id", text), TEXTS, TEXT),
}
"""All readers of messages, by name."""
