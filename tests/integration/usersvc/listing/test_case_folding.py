"""Case-insensitive comparison follows one rule in the gateway, the services and the database."""

import asyncpg
import pytest
from cloudacademy.users.v1.users_pb2 import TypedValue

from gateway.scim import case_folding as gateway_folding
from gateway.scim import filter as filters
from gateway.scim import patch
from gateway.scim.schema import USER
from keysvc.store import erasure as keysvc_erasure
from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.activity_calls import list_activities
from tests.support.usersvc.group_calls import create_group, group_names
from tests.support.usersvc.session_calls import sign_in_with_assertion
from tests.support.usersvc.user_calls import compare, create, update, user_names
from usersvc.domain import case_folding as usersvc_folding

FOLDS = {"gateway": gateway_folding.fold, "usersvc": usersvc_folding.fold}

SAME = {
    "letter": ("A", "a"),
    "capital sharp s": ("\u1e9e", "\u00df"),
    "long s": ("\u017f", "s"),
    "Kelvin sign": ("\u212a", "k"),
    "Angstrom sign": ("\u212b", "\u00e5"),
    "Ohm sign": ("\u2126", "\u03c9"),
    "micro sign": ("\u00b5", "\u03bc"),
    "capital and final sigma": ("\u03a3", "\u03c2"),
    "small and final sigma": ("\u03c3", "\u03c2"),
    "iota subscript": ("\u1f88", "\u1f80"),
    "iota with oxia": ("\u1fd3", "\u0390"),
    "titlecase and small digraph": ("\u01c5", "\u01c6"),
    "capital and titlecase digraph": ("\u01c4", "\u01c5"),
    "ligature of long s": ("\ufb05", "\ufb06"),
    "Georgian Mtavruli": ("\u1c90", "\u10d0"),
    "Cherokee": ("\u13a0", "\uab70"),
    "Cherokee of Unicode 8": ("\u13f0", "\u13f8"),
    "Deseret": ("\U00010400", "\U00010428"),
    "Adlam": ("\U0001e900", "\U0001e922"),
    "Cyrillic of Unicode 16": ("\u1c89", "\u1c8a"),
    "Latin of Unicode 16": ("\ua7cb", "\u0264"),
    "Garay of Unicode 16": ("\U00010d50", "\U00010d70"),
}
DIFFERENT = {
    "sharp s and ss": ("\u00df", "ss"),
    "capital sharp s and ss": ("\u1e9e", "SS"),
    "dotted capital i": ("\u0130", "i"),
    "dotless small i": ("\u0131", "i"),
    "dotted capital i and i with dot": ("\u0130", "i\u0307"),
    "ligature": ("\ufb01", "fi"),
    "composed and decomposed": ("\u00e9", "e\u0301"),
}
PAIRS = [(*pair, True) for pair in SAME.values()] + [(*pair, False) for pair in DIFFERENT.values()]
PAIR_IDS = [*SAME, *DIFFERENT]


def address(text: str, number: int) -> str:
    """A user name that is unique to the pair of this number."""
    return f"x{text}@{number}.test"


async def test_python_and_database_fold_every_character_alike(db: asyncpg.Connection):
    rows = await db.fetch(
        """
        SELECT code, ascii(fold(chr(code))) AS folded
          FROM generate_series(1, 1114111) AS code
         WHERE code NOT BETWEEN 55296 AND 57343 AND fold(chr(code)) <> chr(code)
        """
    )
    in_database = {chr(row["code"]): chr(row["folded"]) for row in rows}
    assert len(in_database) > 1_400
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
    for package, fold in FOLDS.items():
        in_python = {each: fold(each) for each in characters if fold(each) != each}
        assert in_python == in_database, package


def is_removed(value: str, by: str) -> bool:
    """Whether a PATCH that removes the role `by` removes the role `value`."""
    resource = {"userName": "ann", "roles": [{"value": value}, {"value": "kept"}]}
    removal = {"op": "remove", "path": f'roles[value eq "{by}"]'}
    after = patch.apply(USER, resource, patch.parse({"Operations": [removal]}))
    return len(after["roles"]) == 1


@pytest.mark.parametrize(("one", "other", "same"), PAIRS, ids=PAIR_IDS)
def test_gateway_filter_and_patch_compare_pair_alike(one, other, same):
    for operator in ("eq", "co", "sw", "ew"):
        tree = filters.parse(USER, f'userName {operator} "x{other}y"')
        assert filters.matches(tree, {"userName": f"x{one}y"}) is same
    assert is_removed(f"x{one}y", by=f"x{other}y") is same


async def test_services_and_database_fold_text_alike(db: asyncpg.Connection):
    texts = [f"{one}{other}{one}" for one, other, _ in PAIRS]
    in_database = [await db.fetchval("SELECT fold($1)", text) for text in texts]
    keysvc_sql = f"SELECT {keysvc_erasure._casefolded_sql('$1::text')}"

    assert [await db.fetchval(keysvc_sql, text) for text in texts] == in_database
    for package, fold in FOLDS.items():
        assert [fold(text) for text in texts] == in_database, package


async def test_user_name_in_other_case_is_not_unique(users):
    for number, (one, other, same) in enumerate(PAIRS):
        await create(users, address(one, number))
        expected = ["USER_NAME_TAKEN"] if same else ["OK"]
        assert await outcomes(create(users, address(other, number))) == expected, PAIR_IDS[number]


async def test_user_and_group_filters_ignore_case(users, groups):
    for number, (one, other, same) in enumerate(PAIRS):
        name, wanted = address(one, number), address(other, number)
        expected = [name] if same else []
        await create(users, name, emails=[TypedValue(value=name)])
        await create_group(groups, name)
        for operator in ("EQUAL", "STARTS_WITH", "CONTAINS", "ENDS_WITH"):
            by_name = await user_names(users, compare("user_name", operator, wanted))
            by_address = await user_names(users, compare("emails.value", operator, wanted))
            of_groups = await group_names(groups, compare("display_name", operator, wanted))
            assert by_name == by_address == of_groups == expected, PAIR_IDS[number]


async def test_sign_in_by_email_address_ignores_case(sessions, users, clock):
    for number, (one, other, same) in enumerate(PAIRS):
        if not address(other, number).isprintable():
            continue  # a sign-in refuses unassigned characters, in any case
        await create(users, address(one, number))
        call = sign_in_with_assertion(sessions, clock.now, f"oid-{number}", address(other, number))
        expected = ["OK"] if same else ["SIGN_IN_UNKNOWN"]
        assert await outcomes(call) == expected, PAIR_IDS[number]


@pytest.mark.parametrize(
    ("role", "same"),
    [("ADMINISTRATOR", True), ("admini\u017ftrator", True), ("adm\u0131nistrator", False)],
)
async def test_administrator_role_ignores_case_in_sessions_and_log(
    users, sessions, activities, clock, *, role, same
):
    ann = await create(users, "ann@acme.test", active=True, roles=[TypedValue(value=role)])
    session = (await sign_in_with_assertion(sessions, clock.now, email="ann@acme.test")).session
    await update(users, ann.id, "active", active=False)
    disabled, *_ = await list_activities(activities)

    assert (session.administrator, disabled.last_administrator_lost) == (same, same)
