"""Searches for a part of a name find the same users by the index as by a scan."""

import pytest
from cloudacademy.users.v1.users_pb2 import Name

from tests.support.usersvc.user_calls import (
    GLOBEX,
    all_of,
    any_of,
    compare,
    create,
    delete,
    list_pages,
    list_users,
    update,
)

SEARCH = "usersvc.store.listing.name_search"
FIELDS = ("user_name", "display_name", "name.given_name", "name.family_name")
PEOPLE = [
    ("ann.adams@corp.test", "Ann Adams", "Ann", "Adams"),
    ("bob@corp.test", "", "Bob", "Zyxwvut"),
    ("100%_real\\@corp.test", "100%", "", ""),
    ("müller@corp.test", "Jürgen Müller", "Jürgen", "Müller"),
    ("мюллер@corp.test", "Юрген Мюллер", "Юрген", "Мюллер"),
    ("eve@corp.test", "Zyxen", "Eve", "Anning"),
    ("zy", "Ada Zy", "", ""),
    ("dora@corp.test", "Dora Ann-Zyx", "Dora", "Ann-Zyx"),
    ("straße@corp.test", "STRASSE", "ß", "\U0001f600\U0001f600"),
]
TEXTS = [
    *("ann", "ANN", "zyx", "Zyxwvut", "corp", "absent", "%_r", "0%", "\\@c", "ü", "MÜLL", "юрг"),
    *("ße", "\U0001f600", "a", "zy", "ad", "n a", "@", "...", "strasse", "STRASSE", "x\ny"),
]


@pytest.fixture
async def people(users):
    for user_name, display_name, given, family in PEOPLE:
        name = Name(given_name=given, family_name=family)
        await create(users, user_name, display_name=display_name, name=name, active=True)
    await create(users, "zyx.ann@corp.test", GLOBEX)


@pytest.fixture
def index_only(monkeypatch) -> None:
    """Searches use the index although there are few users."""
    monkeypatch.setattr(f"{SEARCH}.WINDOW_ROWS", 1)


def of_names(operator: str, text: str):
    return any_of(*(compare(field, operator, text) for field in FIELDS))


def expected(operator: str, text: str) -> list[str]:
    def matches(name: str) -> bool:
        name, part = fold(name), fold(text)
        match operator:
            case "CONTAINS":
                return part in name
            case "STARTS_WITH":
                return name.startswith(part)
            case _:
                return name.endswith(part)

    return [names[0] for names in PEOPLE if any(matches(name) for name in names if name)]


def fold(text: str) -> str:
    return "".join([each.lower() if len(each.lower()) == 1 else each for each in text])


async def found(users, filter_, page_size: int, **fields: object) -> list[str]:
    pages = await list_pages(users, page_size, filter=filter_, **fields)
    return [user.user_name for page in pages for user in page]


@pytest.mark.parametrize("most", [0, 2, 1_000])
@pytest.mark.parametrize("operator", ["CONTAINS", "STARTS_WITH", "ENDS_WITH"])
@pytest.mark.usefixtures("people", "index_only")
async def test_index_finds_the_same_users_as_a_scan(users, monkeypatch, operator, most):
    """With 0 and 2 candidates at most, frequent texts are found by a scan."""
    monkeypatch.setattr(f"{SEARCH}.MAX_CANDIDATES", most)
    for text in TEXTS:
        filter_, names = of_names(operator, text), expected(operator, text)
        assert await found(users, filter_, 2) == names, text
        assert await found(users, filter_, 2, order_by="id desc") == names[::-1], text
        total = await list_users(users, filter_, count_total=True, omit_users=True)
        assert total.total_size == len(names), text


@pytest.mark.usefixtures("people", "index_only")
async def test_search_combines_with_other_conditions_orders_and_skips(users):
    zyx = of_names("CONTAINS", "zyx")
    active = all_of(zyx, compare("active", "EQUAL", True))
    names = ["bob@corp.test", "eve@corp.test", "dora@corp.test"]

    assert await found(users, active, 50) == names
    assert await found(users, all_of(zyx, compare("active", "EQUAL", False)), 50) == []
    assert await found(users, zyx, 1, order_by="user_name") == sorted(names)
    assert await found(users, zyx, 50, skip=1) == names[1:]
    assert await found(users, any_of(zyx, compare("display_name", "CONTAINS", "100%")), 50) == [
        "bob@corp.test",
        "100%_real\\@corp.test",
        *names[1:],
    ]


@pytest.mark.usefixtures("people", "index_only")
async def test_search_finds_new_names_and_no_former_ones(users):
    ada = await create(users, "ada@corp.test")
    assert await found(users, of_names("CONTAINS", "ada@"), 50) == ["ada@corp.test"]
    await update(users, ada.id, display_name="Qwertz")
    assert await found(users, of_names("CONTAINS", "qwe"), 50) == ["ada@corp.test"]
    await update(users, ada.id, "display_name")
    assert await found(users, of_names("CONTAINS", "qwe"), 50) == []
    await delete(users, ada.id)
    assert await found(users, of_names("CONTAINS", "ada@"), 50) == []
