"""Reads users. Concurrent reads share statements, even across organizations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias
from uuid import UUID

from chassis.batching.loader import BatchLoader, Sharing
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable, Refusal
from usersvc.domain.errors import USER_NOT_FOUND
from usersvc.domain.lookups import Match, UserKey
from usersvc.domain.users import GroupList, GroupView, User
from usersvc.store.id_lookups import columns_of, look_up, look_up_across
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS
from usersvc.store.users import lookups, memberships

MAX_SHARED_GROUPS: Final = 50
"""The most groups of a user that a statement across organizations reads. If a user is in more, a
statement for the user's organization alone reads them, so that no other organization waits."""

Scope: TypeAlias = tuple[UUID, GroupView]
"""An organization, and which groups to read with its users."""
UserInScope: TypeAlias = tuple[Scope, UUID]
"""The scope and the id of a user."""


class SharedReads:
    """Reads users by id or key; see `BatchLoader` for which reads share a statement.

    A statement across organizations takes pairs of an organization and an id or key. Each row names
    its organization, and is returned only to reads of that organization. Without
    `across_organizations`, each statement is limited to one organization, as a database that is
    sharded by organization requires.
    """

    def __init__(self, database: Database, *, across_organizations: bool) -> None:
        self._database = database
        errors = (DatabaseUnavailable,)
        across = across_organizations
        self._users = BatchLoader(
            self._one, self._many, Sharing(self._users_across, errors) if across else None
        )
        self._matches = BatchLoader(
            self._match, self._match_many, Sharing(self._match_across, errors) if across else None
        )
        self._with_groups = BatchLoader(
            self._one_with_groups,
            self._many_with_groups,
            Sharing(self._across_with_groups, errors) if across else None,
        )
        self._groups = BatchLoader(
            self._groups_of_one,
            self._groups_of,
            Sharing(self._groups_across, errors) if across else None,
        )

    async def get(
        self, organization_id: UUID, user_id: UUID, groups: GroupView | None = None
    ) -> User:
        """Read a user, with `groups` if given. Refuses USER_NOT_FOUND."""
        if groups is None:
            user = await self._users.get(organization_id, user_id)
        else:
            user = await self._with_groups.get((organization_id, groups), user_id)
        if user is None:
            raise Refusal(USER_NOT_FOUND, user_id)
        return user

    async def match(self, organization_id: UUID, key: UserKey) -> Match:
        """Find the users that match a key."""
        return await self._matches.get(organization_id, key)

    async def by_ids(self, organization_id: UUID, user_ids: Sequence[UUID]) -> Sequence[User]:
        """Read the users that exist among `user_ids`, in any order."""
        async with self._database.connection() as db:
            return await lookups.by_ids(db, organization_id, user_ids)

    async def by_keys(self, organization_id: UUID, keys: Sequence[UserKey]) -> Sequence[Match]:
        """Find the users that match each key."""
        async with self._database.connection() as db:
            return await lookups.by_keys(db, organization_id, keys)

    async def with_groups(self, users: Sequence[User], view: GroupView) -> Sequence[User]:
        """Users of one organization with the groups they are in, read by one statement."""
        if not users:
            return users
        scope = (users[0].organization_id, view)
        if len(users) == 1:
            groups = await self._groups.get(scope, users[0].user_id)
            return [replace(users[0], groups=groups)]
        found = await self._groups_of(scope, [user.user_id for user in users])
        return [replace(user, groups=found[user.user_id]) for user in users]

    # --- users by id ---

    async def _one(self, organization_id: UUID, user_id: UUID) -> User | None:
        async with self._database.connection() as db:
            row = await db.fetchrow(SELECT_ONE, organization_id, user_id)
        return user_rows.user(row) if row else None

    async def _many(
        self, organization_id: UUID, user_ids: Sequence[UUID]
    ) -> Mapping[UUID, User | None]:
        found = await self.by_ids(organization_id, user_ids)
        return dict.fromkeys(user_ids) | {user.user_id: user for user in found}

    async def _users_across(
        self, wanted: Sequence[tuple[UUID, UUID]]
    ) -> Mapping[tuple[UUID, UUID], User | None]:
        async with self._database.connection() as db:
            found = await lookups.by_ids_across(db, wanted)
        return dict.fromkeys(wanted) | {
            (user.organization_id, user.user_id): user for user in found
        }

    # --- users by key ---

    async def _match(self, organization_id: UUID, key: UserKey) -> Match:
        (match,) = await self.by_keys(organization_id, [key])
        return match

    async def _match_many(
        self, organization_id: UUID, keys: Sequence[UserKey]
    ) -> Mapping[UserKey, Match]:
        return {match.key: match for match in await self.by_keys(organization_id, keys)}

    async def _match_across(
        self, wanted: Sequence[tuple[UUID, UserKey]]
    ) -> Mapping[tuple[UUID, UserKey], Match]:
        async with self._database.connection() as db:
            return await lookups.by_keys_across(db, wanted)

    # --- users with groups ---

    async def _one_with_groups(self, scope: Scope, user_id: UUID) -> User | None:
        organization_id, view = scope
        async with self._database.connection() as db:
            row = await db.fetchrow(SELECT_ONE_AND_WHETHER_IN_GROUPS, organization_id, user_id)
        if row is None:
            return None
        user = user_rows.user(row)
        if row["in_groups"]:
            (user,) = await self.with_groups([user], view)
        return user

    async def _many_with_groups(
        self, scope: Scope, user_ids: Sequence[UUID]
    ) -> Mapping[UUID, User | None]:
        organization_id, view = scope
        async with self._database.connection() as db:
            rows = await db.fetch(_SELECT_SOME_AND_WHETHER_IN_GROUPS, organization_id, user_ids)
        found = {row["user_id"]: user_rows.user(row) for row in rows}
        members = [found[row["user_id"]] for row in rows if row["in_groups"]]
        found |= {user.user_id: user for user in await self.with_groups(members, view)}
        return dict.fromkeys(user_ids) | found

    async def _across_with_groups(
        self, wanted: Sequence[UserInScope]
    ) -> Mapping[UserInScope, User | None]:
        """The users, without those who are in more than MAX_SHARED_GROUPS groups."""
        pairs = list({(organization_id, user_id) for (organization_id, _), user_id in wanted})
        async with self._database.connection() as db:
            rows = await db.fetch(_SELECT_ACROSS_AND_WHETHER_IN_GROUPS, *columns_of(pairs))
        users = {(row["organization_id"], row["user_id"]): user_rows.user(row) for row in rows}
        in_groups = {(row["organization_id"], row["user_id"]) for row in rows if row["in_groups"]}
        members = [
            (scope, user_id) for scope, user_id in wanted if (scope[0], user_id) in in_groups
        ]
        groups = await self._groups_across(members) if members else {}
        found: dict[UserInScope, User | None] = {}
        for each in wanted:
            (organization_id, _), user_id = each
            user = users.get((organization_id, user_id))
            if user is None or (organization_id, user_id) not in in_groups:
                found[each] = user
            elif each in groups:
                found[each] = replace(user, groups=groups[each])
        return found

    # --- groups of users ---

    async def _groups_of_one(self, scope: Scope, user_id: UUID) -> GroupList:
        return (await self._groups_of(scope, [user_id]))[user_id]

    async def _groups_of(self, scope: Scope, user_ids: Sequence[UUID]) -> Mapping[UUID, GroupList]:
        organization_id, view = scope
        async with self._database.connection() as db:
            found = await memberships.by_users(db, organization_id, user_ids, view)
        return {user_id: found.get(user_id, GroupList()) for user_id in user_ids}

    async def _groups_across(
        self, wanted: Sequence[UserInScope]
    ) -> Mapping[UserInScope, GroupList]:
        """The groups of the users, without the users who are in more than MAX_SHARED_GROUPS."""
        pairs = list({(organization_id, user_id) for (organization_id, _), user_id in wanted})
        async with self._database.connection() as db:
            found = await memberships.by_users_across(db, pairs, MAX_SHARED_GROUPS)
        return {
            (scope, user_id): groups
            for scope, user_id in wanted
            if _is_complete(groups := found.get((scope[0], user_id), GroupList()), scope[1])
        }


def _is_complete(groups: GroupList, view: GroupView) -> bool:
    """Whether these are all groups of a user, and no more than the view allows."""
    return not groups.more and (view.max_groups is None or len(groups.groups) <= view.max_groups)


# --- statements -------------------------------------------------------------------------

SELECT_ONE: Final = f"SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND user_id = $2"  # noqa: S608


def _and_whether_in_groups(organization: str) -> str:
    return f"""
        {COLUMNS},
        EXISTS (SELECT FROM group_users AS member
                 WHERE member.organization_id = {organization}
                   AND member.user_id = users.user_id) AS in_groups
    """


SELECT_ONE_AND_WHETHER_IN_GROUPS: Final = f"""
    SELECT {_and_whether_in_groups("$1")} FROM users WHERE organization_id = $1 AND user_id = $2
"""  # noqa: S608
_SELECT_SOME_AND_WHETHER_IN_GROUPS: Final = look_up(
    _and_whether_in_groups("$1"), "users", "user_id"
)
_SELECT_ACROSS_AND_WHETHER_IN_GROUPS: Final = look_up_across(
    _and_whether_in_groups("wanted.organization_id"), "users", "user_id"
)
