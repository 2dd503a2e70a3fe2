"""The statements of usersvc, with arguments and the pages that they may read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from tests.support.plans.cases import NOW, Arguments, Case, Organization
from usersvc.domain.activities import Action, Result
from usersvc.domain.activities import Query as LogQuery
from usersvc.domain.changes import ChangeType
from usersvc.domain.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Filter,
    Moment,
    Operator,
    Order,
    Position,
    Query,
)
from usersvc.domain.users import Profile, TypedValue
from usersvc.store import schemas
from usersvc.store.activities import page_sql, refusals, search
from usersvc.store.groups import deletion as group_deletion
from usersvc.store.groups import writes as group_writes
from usersvc.store.listing import name_search
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.group_fields import GROUPS
from usersvc.store.listing.list_sql import count_statement, page_statement
from usersvc.store.listing.user_fields import USERS
from usersvc.store.rows import user as user_rows
from usersvc.store.users import writes as user_writes

LATER: Final = NOW + timedelta(days=300)
REQUEST: Final = ("request", None, "Okta")
"""The request id and the key id."""


def user(number: int, *more: object) -> Callable[[Organization], Arguments]:
    return lambda o: (o.id, o.user_id(number), *more)


def some_users(count: int) -> Callable[[Organization], Arguments]:
    return lambda o: (o.id, o.user_ids(count))


def across(users: int) -> Callable[[Organization], Arguments]:
    """Users of the organization and of small ones in turn, as two arrays."""

    def arguments(o: Organization) -> Arguments:
        owners = [Organization(n, 30, 10) if n % 2 else o for n in range(1, users + 1)]
        return [each.id for each in owners], [each.user_id(9) for each in owners]

    return arguments


def keys_across(key: Callable[[Organization], str]) -> Callable[[Organization], Arguments]:
    """A key in the organization and in each of 31 small ones."""

    def arguments(o: Organization) -> Arguments:
        owners = [o, *(Organization(n, 30, 10) for n in range(1, 32))]
        return [each.id for each in owners], [key(each) for each in owners], 11

    return arguments


def group(number: int, *more: object) -> Callable[[Organization], Arguments]:
    return lambda o: (o.id, o.group_id(number), *more)


def digest_of(user_id: UUID) -> bytes:
    """The digest that the test data has for a user's session, link and assertion."""
    return sha256(user_id.bytes).digest()


# --- users ------------------------------------------------------------------------------


def profile(name: str) -> Profile:
    return Profile(
        user_name=name,
        external_id=name,
        active=True,
        display_name=name,
        emails=(TypedValue(name, type="work"),),
    )


def created(o: Organization) -> Arguments:
    before = user_writes._InsertArguments(o.id, NOW, ["user_name"], *REQUEST)
    return (*before, *user_rows.columns(profile("new@user.test")))


def updated(new_name: str, *, loses_administrator: bool = False) -> Callable[..., Arguments]:
    def arguments(o: Organization) -> Arguments:
        before = user_writes._UpdateArguments(
            o.id, o.user_id(2), 1, NOW, ChangeType.USER_UPDATED, ["title"], [None], ["x"], *REQUEST,
            loses_administrator=loses_administrator,
        )  # fmt: skip
        return (*before, *user_rows.columns(profile(new_name or o.user_name(2))))

    return arguments


def groups_of(users: int, max_groups: int | None = None) -> Callable[[Organization], Arguments]:
    return lambda o: (o.id, o.user_ids(users), max_groups, False)


def groups_of_12(max_groups: int, *, truncated: bool = False) -> Callable[..., Arguments]:
    """The groups of a user who is in all groups: 10 in the small organization."""
    return lambda o: (o.id, [o.user_id(12)], max_groups, truncated)


USER_CASES: Final = (
    Case("users.shared_reads.SELECT_ONE", user(9), 10),
    Case("users.shared_reads.SELECT_ONE_AND_WHETHER_IN_GROUPS", user(9), 20),
    Case("users.shared_reads._SELECT_SOME_AND_WHETHER_IN_GROUPS", some_users(3), 35),
    Case("users.shared_reads._SELECT_ACROSS_AND_WHETHER_IN_GROUPS", across(2), 25),
    Case("users.shared_reads._SELECT_ACROSS_AND_WHETHER_IN_GROUPS", across(32), 320, "32 users"),
    Case("users.store._SELECT_LOCKED", user(9), 10),
    Case("users.deletion._LOCK_TO_DELETE", user(9), 10),
    Case("users.deletion._ERASE_LOG", user(9), 55),
    Case("users.deletion._REFUSALS_ABOUT", user(11), 30),
    Case("users.deletion._ERASE_REFUSAL", lambda o: (o.id, FIRST), 10),
    Case("users.deletion._LEAVE_GROUPS", user(9, NOW, *REQUEST), 85),
    Case("users.deletion._DELETE", user(7, NOW, *REQUEST, False), 60),
    Case("users.deletion._DELETE", user(7, NOW, *REQUEST, True), 65, "an administrator"),
    Case("users.writes._INSERT", created, 55),
    Case("users.writes._UPDATE", updated(""), 55),
    Case("users.writes._UPDATE", updated("other@user.test"), 70, "another name and e-mail"),
    Case("users.writes._UPDATE", updated("", loses_administrator=True), 60, "an administrator"),
    Case("users.lookups.BY_IDS", some_users(1), 10),
    Case("users.lookups.BY_IDS", some_users(1000), 4_600, "1,000 ids"),
    Case(
        "users.lookups.BY_KEYS[USER_NAME]",
        lambda o: (o.id, [o.user_name(n) for n in range(1, 1001)], 11),
        4_600,
    ),
    Case(
        "users.lookups.BY_KEYS[EXTERNAL_ID]",
        lambda o: (o.id, [f"external-{n}" for n in range(1, 1001)], 11),
        4_600,
    ),
    Case("users.lookups.BY_IDS_ACROSS", across(2), 15),
    Case("users.lookups.BY_IDS_ACROSS", across(32), 160, "32 ids"),
    Case("users.lookups.BY_KEYS_ACROSS[USER_NAME]", keys_across(lambda o: o.user_name(9)), 160),
    Case("users.lookups.BY_KEYS_ACROSS[EXTERNAL_ID]", keys_across(lambda _: "external-9"), 160),
    Case("users.memberships._BY_USERS_ACROSS", lambda o: (*across(2)(o), 50, False), 60),
    Case(
        "users.memberships._BY_USERS_ACROSS", lambda o: (*across(32)(o), 50, False), 900, "32 users"
    ),
    Case(
        "users.memberships._BY_USERS_ACROSS",
        lambda o: ([o.id], [o.user_id(12)], 5, False),
        25,
        "more groups than the limit",
    ),
    Case("users.memberships._BY_USERS", groups_of(1), 40),
    Case("users.memberships._BY_USERS", groups_of(100), 1_800, "100 users"),
    Case("users.memberships._BY_USERS", groups_of(100, 200), 1_800, "100 users, limited"),
    Case("users.memberships._BY_USERS", groups_of_12(5), 25, "more groups than the limit"),
    Case("users.memberships._BY_USERS", groups_of_12(200), 75, "more groups than 200"),
    Case(
        "users.memberships._BY_USERS",
        groups_of_12(200, truncated=True),
        1_100,
        "200 of more groups",
    ),
    Case("identities._LOCK_HOLDERS", lambda o: (o.id, "object-11"), 20),
    Case("identities._LOCK_SAME_NAME", lambda o: (o.id, o.user_name(9)), 10),
    Case("identities._REMEMBER_DELETED", user(11, ["a", "b"], NOW), 45),
    Case("identities.link", lambda o: (o.id, "object-x", o.user_id(11)), 25),
    Case("identities.is_deleted", lambda o: (o.id, "former-11", "x", NOW), 10),
    Case("identities._candidate", user(11), 10),
)

# --- groups -----------------------------------------------------------------------------


def changed_group(
    *, add: int | None = None, add_group: int | None = None, remove: int | None = None
) -> Callable[[Organization], Arguments]:
    """The arguments of an update of group 1, which contains everybody but user 7."""

    def arguments(o: Organization) -> Arguments:
        return group_writes._UpdateArguments(
            organization_id=o.id, group_id=o.group_id(1), now=NOW, display_name="x",
            external_id=None, is_changed=False, users=[str(o.user_id(add))] if add else [],
            groups=[str(o.group_id(add_group))] if add_group else [],
            compared=[str(o.user_id(remove))] if remove else [], unknown_members=[], fields=[],
            old_values=[], new_values=[], request_id="", key_id=None, client="",
        )  # fmt: skip

    return arguments


def replaced(o: Organization) -> Arguments:
    """The arguments that replace the members of the small group 4 by one of them and user 7."""
    arguments = changed_group(add=7)(o)
    assert isinstance(arguments, group_writes._UpdateArguments)
    return arguments._replace(group_id=o.group_id(4), compared=[str(o.user_id(o.groups - 3))])


GROUP_CASES: Final = (
    Case("groups.store._SELECT_ONE", group(3), 10),
    Case("groups.store._SELECT_LOCKED", group(3), 10),
    Case(
        "groups.writes._INSERT",
        lambda o: (o.id, NOW, "x", None, o.user_ids(3), [o.group_id(5)], [], [], *REQUEST),
        140,
    ),
    Case("groups.writes._UPDATE", changed_group(add=7), 75, "a member is added"),
    Case("groups.writes._UPDATE", changed_group(remove=9), 55, "a member is removed"),
    Case("groups.writes._UPDATE", changed_group(add_group=5), 65, "a group is added"),
    Case("groups.writes._REPLACE", replaced, 115),
    Case("groups.deletion._LOCK_WITH_PARENTS", group(5), 20),
    Case("groups.deletion._LEAVE_PARENTS", group(5, NOW, *REQUEST), 40),
    Case(
        "groups.deletion._DELETE",
        group(5, NOW, *REQUEST),
        65,
        before=lambda o: (group_deletion._LEAVE_PARENTS, group(5, NOW, *REQUEST)(o)),
    ),
    Case(
        "groups.members._FIND",
        lambda o: (o.id, o.group_id(1), [o.user_id(9)], False),
        10,
        "a member",
    ),
    Case(
        "groups.members._FIND", lambda o: (o.id, o.group_id(1), [o.user_id(7)], False), 15, "a user"
    ),
    Case(
        "groups.members._FIND",
        lambda o: (o.id, o.group_id(1), [o.group_id(7)], False),
        20,
        "a group",
    ),
    Case(
        "groups.members._FIND",
        lambda o: (o.id, o.group_id(5), o.user_ids(1000), False),
        7_000,
        "1,000 users",
    ),
    Case("groups.members._COUNT_MEMBERS", lambda o: (o.id, o.group_id(1), [o.user_id(9)]), 10),
    Case("groups.members._ANCESTORS", group(5), 20),
    Case("groups.members._PAGE", group(1, UUID(int=0), 101), 500),
    Case("groups.members._PAGE_WITHOUT_NAMES", group(1, UUID(int=0), 101), 15),
)

# --- lists ------------------------------------------------------------------------------


def equal(field: str, value: object) -> Comparison:
    return Comparison(field, Operator.EQUAL, value)  # type: ignore[arg-type]


BY_ID: Final = Order()
Filters = Callable[[Organization], Filter | None]


def page(
    condition: str,
    resource: Resource,
    filter_: Filters,
    buffers: int,
    *,
    order: Order = BY_ID,
    after: Callable[[Organization], Position] | None = None,
    custom_plan: bool = False,
) -> Case:
    """A page of 100 that an index serves."""

    def built(o: Organization) -> tuple[str, Arguments]:
        where = Where(o.id)
        query = Query(o.id, 100, filter=filter_(o), order=order, after=after(o) if after else None)
        return page_statement(where, query, resource), where.arguments

    return Case(
        "listing.list_sql.page_statement",
        lambda o: built(o)[1],
        buffers,
        f"{resource.table}, {condition}",
        text=lambda o: built(o)[0],
        custom_plan=custom_plan,
    )


def name_search_case(
    build: Callable[[Where, Organization], str], name: str, condition: str, buffers: int
) -> Case:
    """A statement of a search for a part of a name."""

    def built(o: Organization) -> tuple[str, Arguments]:
        where = Where(o.id)
        return build(where, o), where.arguments

    return Case(
        f"listing.name_search.{name}",
        lambda o: built(o)[1],
        buffers,
        condition,
        text=lambda o: built(o)[0],
    )


def candidates(condition: str, buffers: int, *texts: str) -> Case:
    def build(where: Where, _: Organization) -> str:
        return name_search.candidates_statement(where, texts, USERS)

    return name_search_case(build, "candidates_statement", condition, buffers)


def window_end(condition: str, *, after: bool = False, descending: bool = False) -> Case:
    def build(where: Where, o: Organization) -> str:
        position = Position(None, o.user_id(o.users // 2)) if after else None
        query = Query(o.id, 100, order=Order("id", descending), after=position)
        return name_search.window_end_statement(where, query, USERS)

    return name_search_case(build, "window_end_statement", condition, 60)


def window(where: Where, o: Organization) -> str:
    """The page of a search in the first 2,000 users."""
    query = Query(o.id, 100, filter=Comparison("display_name", Operator.CONTAINS, "absent"))
    return page_statement(where, query, USERS, o.user_id(2_001))


def count(condition: str, resource: Resource, filter_: Filters, buffers: int) -> Case:
    """A count that an index serves; `Scans` limits the others."""

    def built(o: Organization) -> tuple[str, Arguments]:
        where = Where(o.id)
        return count_statement(where, filter_(o), resource), where.arguments

    return Case(
        "listing.list_sql.count_statement",
        lambda o: built(o)[1],
        buffers,
        f"{resource.table}, {condition}",
        text=lambda o: built(o)[0],
    )


def work_email(o: Organization) -> Filter:
    return ElementMatch(
        "emails", AllOf((equal("type", "work"), equal("value", o.user_name(9).upper())))
    )


def name_or_email(o: Organization) -> Filter:
    name = o.user_name(9).upper()
    return AnyOf((equal("user_name", name), equal("emails.value", name)))


def ids(o: Organization) -> Filter:
    return AnyOf(tuple(equal("id", str(each)) for each in o.user_ids(200)))


def prefix(o: Organization) -> Filter:
    return Comparison("user_name", Operator.STARTS_WITH, "user2")


def minute(o: Organization) -> Filter:
    """The users that were changed in one minute; only the large organization has some."""
    start = datetime(2026, 1, 2, 1, tzinfo=UTC)
    return AllOf(
        (
            Comparison("update_time", Operator.GREATER_OR_EQUAL, Moment(start)),
            Comparison("update_time", Operator.LESS_THAN, Moment(start + timedelta(minutes=1))),
        )
    )


LIST_CASES: Final = (
    page("by id", USERS, lambda o: equal("id", str(o.user_id(9))), 10),
    page("by 200 ids", USERS, ids, 1_000),
    page("by user name", USERS, lambda o: equal("user_name", o.user_name(9).upper()), 10),
    page("by external id", USERS, lambda o: equal("external_id", "external-9"), 10),
    page("by display name", USERS, lambda o: equal("display_name", "PERSON 9"), 10),
    page("by number", USERS, lambda o: equal("enterprise.employee_number", "e9"), 10),
    page("by e-mail", USERS, lambda o: equal("emails.value", o.user_name(9)), 20),
    page("by e-mail of one type", USERS, work_email, 20),
    page("by name or e-mail", USERS, name_or_email, 25),
    page(
        "by user name, active",
        USERS,
        lambda o: AllOf((equal("active", True), equal("user_name", o.user_name(9)))),
        10,
    ),
    page(
        "by id and group",
        USERS,
        lambda o: AllOf(
            (equal("id", str(o.user_id(9))), equal("groups.value", str(o.group_id(1))))
        ),
        20,
    ),
    page("all", USERS, lambda _: None, 15),
    page(
        "all, in the middle",
        USERS,
        lambda _: None,
        15,
        after=lambda o: Position(None, o.user_id(o.users // 2)),
    ),
    *(
        page(
            f"all, a page of a walk, {title}",
            resource,
            lambda _: None,
            15,
            order=Order("id", descending=True),
            after=after,
        )
        for title, resource, after in (
            ("the second", USERS, lambda o: Position(None, o.user_id(o.users - 5))),
            ("the last", USERS, lambda o: Position(None, o.user_id(25))),
            ("the second of groups", GROUPS, lambda o: Position(None, o.group_id(o.groups - 2))),
            ("the last of groups", GROUPS, lambda o: Position(None, o.group_id(8))),
        )
    ),
    page(
        "all by user name, in the middle",
        USERS,
        lambda _: None,
        40,
        order=Order("user_name"),
        after=lambda o: Position(o.user_name(2), o.user_id(2)),
        custom_plan=True,
    ),
    page("by user name prefix", USERS, prefix, 25, custom_plan=True),
    page(
        "by user name prefix, in order",
        USERS,
        prefix,
        40,
        order=Order("user_name"),
        custom_plan=True,
    ),
    page("by update time", USERS, minute, 35, order=Order("update_time"), custom_plan=True),
    page(
        "of group 1",
        USERS,
        lambda o: equal("groups.value", str(o.group_id(1))),
        160,
        custom_plan=True,
    ),
    candidates("a part", 50, "n 299"),
    candidates("a beginning", 120, "\nuser299"),
    candidates("an absent name", 15, "absent"),
    candidates("a frequent name", 700, "user"),
    candidates("several names", 100, "absent", "user2999@"),
    window_end("from the beginning"),
    window_end("in the middle", after=True),
    window_end("in the middle, descending", after=True, descending=True),
    replace(
        name_search_case(window, "", "users, the first 2,000", 250),
        name="listing.list_sql.page_statement",
    ),
    count("by e-mail", USERS, lambda o: equal("emails.value", o.user_name(9)), 20),
    count("by 200 ids", USERS, ids, 800),
    page("by id", GROUPS, lambda o: equal("id", str(o.group_id(3))), 10),
    page("by display name", GROUPS, lambda o: equal("display_name", "GROUP 3"), 10),
    page("by external id", GROUPS, lambda o: equal("external_id", "external-3"), 10),
    page("of a member", GROUPS, lambda o: equal("members.value", str(o.user_id(9))), 30),
    page(
        "by id and member",
        GROUPS,
        lambda o: AllOf(
            (equal("id", str(o.group_id(1))), equal("members.value", str(o.user_id(9))))
        ),
        15,
    ),
    page("all", GROUPS, lambda _: None, 10),
)

# --- the log and the feed ---------------------------------------------------------------


def log_query(
    build: Callable[[Where, LogQuery], str],
    condition: str,
    buffers: int,
    query: Callable[[Organization], LogQuery],
) -> Case:
    """A statement that is built from a query of the log."""

    def built(o: Organization) -> tuple[str, Arguments]:
        where = Where(o.id)
        return build(where, query(o)), where.arguments

    return Case(
        f"{build.__module__.removeprefix('usersvc.store.')}.{build.__name__}",
        lambda o: built(o)[1],
        buffers,
        condition,
        text=lambda o: built(o)[0],
    )


def log_page(condition: str, buffers: int, query: Callable[[Organization], LogQuery]) -> Case:
    return log_query(page_sql.page_statement, condition, buffers, query)


def named(text: str) -> Callable[[Organization], LogQuery]:
    return lambda o: LogQuery(o.id, 50, text=text, start_time=NOW)


def of_two(where: Where, query: LogQuery) -> str:
    """The page of the entries of two users, and of refusals by name."""
    organization = query.organization_id
    ids = [UUID(str(organization).replace("0a", "0b", 1)[:-1] + number) for number in "12"]
    return search.page_statement(where, query, ids)


of_two.__module__, of_two.__name__ = search.__name__, search.page_statement.__name__


def refused(o: Organization) -> Arguments:
    return refusals._RecordArguments(
        organization_id=o.id, action=Action.UPDATE_USER, create_time=NOW, request_id="r",
        key_id=None, client="Okta", resource_id=o.user_id(9), resource_name=None, method="PATCH",
        target="", body="", status=400, error_type="", detail="", reason="", client_address="",
        mentions=["a", "b"], report_id=o.user_id(9),
    )  # fmt: skip


FIRST: Final = 0
LAST: Final = 2**62
"""Less and more than the number of any change."""
REJECTED_KEYS: Final = frozenset({Action.AUTHENTICATE})
CREATES: Final = frozenset({Action.CREATE_USER})

LOG_CASES: Final = (
    log_page("the latest", 60, lambda o: LogQuery(o.id, 50)),
    log_page("of a time range", 60, lambda o: LogQuery(o.id, 50, start_time=NOW, end_time=LATER)),
    log_page("of one user", 25, lambda o: LogQuery(o.id, 50, resource_id=o.user_id(9))),
    log_page("refused requests", 20, lambda o: LogQuery(o.id, 50, result=Result.REFUSED)),
    log_page("last rejected key", 10, lambda o: LogQuery(o.id, 1, actions=REJECTED_KEYS)),
    log_page("creates", 800, lambda o: LogQuery(o.id, 50, actions=CREATES)),
    log_query(search.recent_statement, "", 4_500, named("user1")),
    log_query(search.resources_statement, "part", 100, named("299@o")),
    log_query(search.resources_statement, "absent part", 60, named("absent")),
    log_query(search.resources_statement, "beginning", 20, named("zz")),
    log_query(of_two, "part", 80, named("299@o")),
    log_query(of_two, "beginning", 80, named("zz")),
    log_query(search.scan_statement, "frequent", 300, named("user")),
    Case("activities.log._GET", lambda o: (o.id, FIRST, NOW), 10),
    Case("activities.log._NAMES", some_users(100), 700),
    Case("activities.refusals._RECORD", refused, 70),
    Case("activities.counts._COUNT", lambda o: (o.id, NOW, LATER, "day"), 60),
    Case("activities.counts._CYCLES", lambda o: (o.id, NOW, 10), 60),
    Case("directory_counts._READ", lambda o: (o.id,), 20),
    Case("directory_counts._POSITION", lambda _: (), 10),
    Case("directory_counts._LAST_OF_BATCH", lambda _: (LAST - 1, LAST, 100), 10),
    Case("directory_counts._RECORD", lambda _: (LAST,), 10),
    Case("activities.rollup._POSITION", lambda _: (), 10),
    Case("activities.rollup._LAST_OF_BATCH", lambda _: (LAST - 1, LAST, 100), 10),
    Case("activities.rollup.ActivityRollup.roll_up 2", lambda _: (LAST,), 10),
    Case("activities.refusals._UNCHECKED", lambda _: (1,), 10),
    Case("activities.refusals.RefusalStore.delete_expired 2", lambda _: (LAST,), 10),
    Case("changes._FEED", lambda _: (), 10),
    Case("changes._FEED_AT", lambda _: ([LAST - 1, LAST],), 15),
    Case("changes._LAST", lambda _: (LAST,), 20),
    Case("changes._CHANGES_AFTER", lambda o: (FIRST, LAST, 500, o.id), 30),
    Case("changes._CHANGES_AFTER_ALL", lambda _: (FIRST, LAST, 500), 25),
    Case("changes._ORGANIZATIONS", lambda _: (LAST - 1, LAST), 10),
    Case("changes._SEEN", lambda o: (LAST, o.id), 10),
    Case("changes._SEEN_ALL", lambda _: (LAST,), 10),
    Case("changes._watermark", lambda _: (), 10),
    Case("changes.ChangeStore.renew", lambda _: (), 10),
)

# --- sessions, schemas, requests --------------------------------------------------------

SESSION_CASES: Final = (
    Case("sessions._LOCK_USER", user(11), 10),
    Case("sessions._LOCK_USER_OF_LINK", lambda o: (o.id, digest_of(o.user_id(11)), NOW), 15),
    Case("sessions._SELECT_USER_OF_LINK", lambda o: (o.id, digest_of(o.user_id(11)), NOW), 15),
    Case("sessions._SELECT_SAME_NAME", lambda o: (o.id, o.user_name(9)), 10),
    Case("sessions._LOCK_SAME_NAME", lambda o: (o.id, o.user_name(9), "Administrator"), 10),
    Case(
        "sessions._CREATE_SESSION",
        lambda o: (o.id, b"new", o.user_id(9), NOW, LATER, LATER, "Administrator"),
        35,
    ),
    Case(
        "sessions._USE",
        lambda o: (
            o.id, digest_of(o.user_id(11)), NOW, LATER, timedelta(minutes=1), "Administrator"
        ),
        40,
    ),
    Case("sessions.SessionStore.create_link", lambda o: (o.id, b"new", o.user_id(9), LATER), 25),
    Case("sessions.SessionStore.sign_in_with_link", lambda o: (o.id, digest_of(o.user_id(11))), 10),
    Case("sessions._END", lambda o: (o.id, digest_of(o.user_id(11))), 10),
    Case("sessions._END_OLDEST", lambda o: (o.id, o.user_id(11), 4), 10),
    Case("sessions._LIST", lambda o: (o.id, NOW, 10, "Administrator"), 100),
    Case("sessions._LIST_OF_USER", lambda o: (o.id, NOW, 10, "Administrator", o.user_id(11)), 20),
    Case("sessions._END_ONE", lambda o: (o.id, digest_of(o.user_id(11)), NOW, "Administrator"), 20),
    Case("sessions._END_ALL_OF_USER", lambda o: (o.id, "Administrator", o.user_id(11)), 20),
    Case("sessions._DELETE_LINKS_OF_USER", lambda o: (o.id, o.user_id(11)), 10),
    Case("sessions._accept_assertion", lambda o: (o.id, b"new", LATER), 20),
)  # fmt: skip

LIST: Final = sha256(b"0").digest()
"""The digest of the list that the first walks of the test data read."""


def saved_walk(number: int) -> Callable[[Organization], Arguments]:
    return lambda o: (
        o.id, LIST, o.walk_id(number), 201, b"0:0:y", 301, b"0:0:z", 301, 900, timedelta()
    )  # fmt: skip


SCHEMA_CASES: Final = (
    Case("schemas._SELECT_ONE", lambda o: (o.id, "urn:x:Badge"), 10),
    Case("schemas._SELECT_ALL", lambda o: (o.id,), 10),
    Case("schemas._LOCK", lambda o: (o.id, ["urn:x:badge", "urn:x:unused"]), 15),
    Case("schemas._LOCK_ORGANIZATION", lambda o: (o.id,), 10),
    Case("schemas.SchemaStore.create", lambda o: (o.id, "urn:x:new", "x", None, "[]", NOW), 10),
    Case(
        "schemas.SchemaStore.delete",
        lambda o: (o.id, "urn:x:badge"),
        10,
        text=lambda _: f"{schemas._SELECT_ONE} FOR UPDATE",
    ),
    Case("schemas.SchemaStore.delete 2", lambda o: (o.id, "urn:x:unused"), 10),
    Case("idempotency._BEGIN", lambda o: (o.id, o.user_id(9), b"x", NOW), 20),
    Case("idempotency._NEXT_ORGANIZATION", lambda o: (o.id,), 10),
    Case("idempotency._DELETE_EXPIRED", lambda o: (o.id, timedelta(days=400), 1000), 10),
    Case("idempotency.end", lambda o: (o.id, o.user_id(11), o.user_id(11)), 25),
    Case("walks._FIND", lambda o: (o.id, LIST, 201, timedelta(hours=1)), 10),
    Case("walks._SAVE", saved_walk(2), 15),
    Case("walks._SAVE", saved_walk(999), 15, "a new walk"),
    Case("walks._DELETE_OLDEST", lambda o: (o.id, 99, 4), 140, "one of 100 walks"),
    Case("walks._NEXT_ORGANIZATION", lambda o: (o.id,), 10),
    Case("walks._DELETE_EXPIRED", lambda o: (o.id, timedelta(days=400), 1000), 60),
    Case("groups.members.lock_nesting", lambda o: (o.id, 1), 10),
)

CASES: Final = (
    *USER_CASES, *GROUP_CASES, *LIST_CASES, *LOG_CASES, *SESSION_CASES, *SCHEMA_CASES,
)  # fmt: skip

_PART: Final = "occurs only inside other statements, which have cases"
_COMMAND: Final = "the command that erases a person reads the organization's whole log, once"
_RETENTION: Final = "retention reads the oldest rows of all organizations, in the background"
_BATCH: Final = "the roll-up reads a batch of entries of all organizations, in the background"
_FIRST_COUNT: Final = "the first count reads all users and groups, once, in the background"
_SNAPSHOT: Final = "a snapshot reads all rows of an organization, page by page"
_NO_ROWS: Final = "reads no table"

EXCEPTIONS: Final[Mapping[str, str]] = {
    "activities.rows.CHANGES": _PART,
    "activities.rows.REFUSALS": _PART,
    "activities.page_sql._changes_by_minute": _PART,
    "activities.page_sql._refusals_page": _PART,
    "activities.search._of_resources": _PART,
    "activities.search._refusals_by_name": _PART,
    "activities.search.resources_statement 2": _PART,
    "activities.counts._NEW": _PART,
    "activities.rollup.pause": _NO_ROWS,
    "activities.rollup.ActivityRollup.roll_up": _NO_ROWS,
    "activities.rollup._ADD_COUNTS": _BATCH,
    "activities.rollup._ADD_NAMES": _BATCH,
    "activities.rollup._DELETE_COUNTS": _RETENTION,
    "activities.rollup._DELETE_NAMES": _RETENTION,
    "activities.refusals._TRIM_OLD": _RETENTION,
    "activities.refusals._TRIM_EXCESS": _RETENTION,
    "activities.refusals.RefusalStore.delete_expired": _NO_ROWS,
    "directory_counts._DIFFERENCES": _PART,
    "directory_counts._DELETED_ACTIVE": _PART,
    "directory_counts._ADD": _BATCH,
    "directory_counts._COUNT_ALL": _FIRST_COUNT,
    "directory_counts._count_all": _FIRST_COUNT,
    "directory_counts.DirectoryCountStore.roll_up": _NO_ROWS,
    "listing.name_index._MERGE": _NO_ROWS,
    "changes._MEMBERS": _SNAPSHOT,
    "change_partitions._LOCK_TIMEOUT": _NO_ROWS,
    "change_partitions._DELETE_UNTIMED": _RETENTION,
    "change_partitions.ChangePartitions.maintain": _NO_ROWS,
    "change_partitions.ChangePartitions.maintain 2": _RETENTION,
    "change_partitions.ChangePartitions.maintain 3": _RETENTION,
    "changes.ListenConnection.notify_replicas": _NO_ROWS,
    "changes.Snapshot.users": _SNAPSHOT,
    "changes.Snapshot.groups": _SNAPSHOT,
    **{
        f"erasure.{name}": _COMMAND
        for name in (
            "_LOCK", "_LOCK_ID", "_LOCK_NAME", "_HOLDERS", "_LINKED_TO", "_FORMER_VALUES",
            "_REFUSALS", "_EMPTY_REFUSALS", "_LOG", "_LOG_OF_OTHERS", "_EMPTY_LOG_OF_OTHERS",
            "_MANAGERS", "_UNKNOWN_MEMBERS", "_CREATE_REQUESTS", "_DELETED_WITH_USER[users]",
            "_DELETED_WITH_USER[group_users]", "_DELETED_WITH_USER[sessions]",
            "_DELETED_WITH_USER[sign_in_links]", "_DELETED_WITH_USER[linked_identities]",
            "_LIST_WALKS", "_LOGGED_NAMES", "_DELETE_LOGGED_NAMES", "_DELETED_IDENTITIES",
            "_NAMED_BY",
            "_USERS", "_GROUPS", "ErasureStore._vacuum", "_folded",
        )
    },
    "groups.writes._MEMBER_CHANGES": _PART,
    "groups.writes._update": _PART,
    "id_lookups.look_up": _PART,
    "id_lookups.look_up_across": _PART,
    "identities._DELETE_EXPIRED": _RETENTION,
    "listing.keys._ids": _PART,
    "listing.keys._ids 2": _PART,
    "listing.keys._ids 3": _PART,
    "listing.user_fields._WITH_ADDRESS": _PART,
    "users.memberships._by_users": _PART,
    "users.memberships._by_users 2": _PART,
    "listing.lists.Lists._custom_plans": _NO_ROWS,
    "users.lookups._by_keys": _PART,
    "schemas._announce_change": _NO_ROWS,
    "schemas._IS_IN_USE": "reads the users with extensions; a schema is deleted rarely",
    "sessions._END_ALL": "reads all sessions of the organization, which it ends",
    "sessions._DELETE_LINKS": "reads all sign-in links of the organization, which it deletes",
    "sessions._DELETE_EXPIRED_SESSIONS": _RETENTION,
    "sessions._DELETE_EXPIRED_LINKS": _RETENTION,
    "sessions._DELETE_EXPIRED_ASSERTIONS": _RETENTION,
}  # fmt: skip
"""The statements without a case, with the reason."""
