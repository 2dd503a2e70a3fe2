"""SQL text and arguments of filters; test_filter_model.py tests their results."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.support.refusals import raises_refusal
from usersvc.domain.errors import INVALID_FILTER, UNKNOWN_FIELD
from usersvc.domain.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Moment,
    Not,
    Operator,
    Order,
    Position,
    Present,
    Query,
)
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.list_sql import page_statement
from usersvc.store.listing.user_fields import USERS

ACME = UUID("018f6d2e-0000-7000-8000-00000000000a")
ANN = UUID("018f6d2e-0000-7000-8000-000000000001")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sql(filter_) -> tuple[str, list[object]]:
    where = Where(ACME)
    return where.condition(filter_, USERS.scope), where.arguments[1:]


def title(operator: Operator, value: str = "X") -> Comparison:
    return Comparison("title", operator, value)


IS_X = 'fold(title) = fold($2::text) COLLATE "C"'


@pytest.mark.parametrize(
    ("filter_", "text", "arguments"),
    [
        (title(Operator.EQUAL), IS_X, ["X"]),
        (title(Operator.NOT_EQUAL), f"(({IS_X}) IS NOT TRUE)", ["X"]),
        (
            title(Operator.CONTAINS, r"50%_\o/"),
            'fold(title) LIKE fold($2::text) COLLATE "C"',
            [r"%50\%\_\\o/%"],
        ),
        (
            title(Operator.LESS_OR_EQUAL),
            'fold(title) <= fold($2::text) COLLATE "C"',
            ["X"],
        ),
        (
            Comparison("external_id", Operator.EQUAL, "X"),
            'external_id = $2::text COLLATE "C"',
            ["X"],
        ),
        (Comparison("active", Operator.EQUAL, True), "active = $2", [True]),
        (Comparison("id", Operator.EQUAL, str(ANN)), "user_id = $2", [ANN]),
        (Comparison("id", Operator.EQUAL, "7"), "false", []),
        (Present("title"), "title IS NOT NULL", []),
        (Present("emails"), "emails IS NOT NULL", []),
        (
            AllOf((Present("title"), Not(AnyOf((title(Operator.EQUAL), Present("locale")))))),
            f"(title IS NOT NULL AND (({IS_X} OR locale IS NOT NULL) IS NOT TRUE))",
            ["X"],
        ),
        (
            ElementMatch("ims", AllOf((Comparison("primary", Operator.EQUAL, True),))),
            (
                "EXISTS (SELECT FROM jsonb_array_elements(ims) AS element"
                " WHERE ((element ->> 'primary')::boolean = $2))"
            ),
            [True],
        ),
    ],
)
def test_filter_becomes_fixed_sql_text_and_arguments(filter_, text, arguments):
    assert sql(filter_) == (text, arguments)


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (Operator.EQUAL, "false"),
        (Operator.NOT_EQUAL, "((false) IS NOT TRUE)"),
        (Operator.GREATER_THAN, "update_time > $2"),
        (Operator.GREATER_OR_EQUAL, "update_time > $2"),
        (Operator.LESS_THAN, "update_time <= $2"),
        (Operator.LESS_OR_EQUAL, "update_time <= $2"),
    ],
)
def test_moment_between_two_microseconds_equals_neither(operator, text):
    found, arguments = sql(Comparison("update_time", operator, Moment(NOON, later=True)))
    assert (found, arguments) == (text, [NOON] if "$2" in text else [])


INJECTION = "'; DROP TABLE users; --"


@pytest.mark.parametrize("operator", list(Operator))
@pytest.mark.parametrize("field", ["user_name", "external_id", "emails.value", "id"])
def test_filter_value_is_never_part_of_the_statement(field, operator):
    text, _ = sql(Comparison(field, operator, INJECTION))
    assert "DROP" not in text


@pytest.mark.parametrize(
    "filter_",
    [
        Comparison(INJECTION, Operator.EQUAL, "x"),
        Present(INJECTION),
        Present(f"emails.{INJECTION}"),
        ElementMatch(INJECTION, Present("value")),
        ElementMatch("emails", Present(INJECTION)),
    ],
)
def test_filter_by_an_unknown_field_is_refused(filter_):
    with raises_refusal(UNKNOWN_FIELD):
        sql(filter_)


@pytest.mark.parametrize("order", [Order(INJECTION), Order(f"emails.{INJECTION}"), Order("name")])
def test_order_by_an_unknown_field_is_refused(order):
    with raises_refusal(UNKNOWN_FIELD):
        list_sql(order)


def test_filter_value_of_another_type_is_refused():
    for value in (True, Moment(NOON)):
        with raises_refusal(INVALID_FILTER):
            sql(Comparison("title", Operator.EQUAL, value))


def list_sql(order: Order, after: Position | None = None) -> tuple[str, list[object]]:
    """The statement of a list from its WHERE clause, and the arguments after the organization."""
    where = Where(ACME)
    statement = page_statement(where, Query(ACME, 10, order=order, after=after), USERS)
    words = " ".join(statement.split())
    return words[words.index("WHERE") :], where.arguments[1:]


@pytest.mark.parametrize(
    ("order", "after", "by"),
    [
        (Order("update_time"), "(update_time, user_id) > ($3, $2)", "update_time, user_id"),
        (
            Order("update_time", descending=True),
            "(update_time, user_id) < ($3, $2)",
            "update_time DESC, user_id DESC",
        ),
        (
            Order("title"),
            '((fold(title), user_id) > ($3::text COLLATE "C", $2) OR fold(title) IS NULL)',
            'fold(title) COLLATE "C", user_id',
        ),
    ],
)
def test_page_starts_after_the_last_user_of_the_previous_page(order, after, by):
    assert list_sql(order, Position("k", ANN)) == (
        f"WHERE organization_id = $1 AND {after} ORDER BY {by} LIMIT $4 OFFSET $5",
        [ANN, "k", 11, 0],
    )


def test_order_by_id_has_no_second_key():
    assert list_sql(Order("id", descending=True), Position(ANN, ANN)) == (
        "WHERE organization_id = $1 AND user_id < $2 ORDER BY user_id DESC LIMIT $3 OFFSET $4",
        [ANN, 11, 0],
    )


def test_page_after_a_user_without_the_field_has_only_such_users():
    assert list_sql(Order("title"), Position(None, ANN)) == (
        (
            "WHERE organization_id = $1 AND (fold(title) IS NULL AND user_id > $2)"
            ' ORDER BY fold(title) COLLATE "C", user_id LIMIT $3 OFFSET $4'
        ),
        [ANN, 11, 0],
    )


def test_descending_order_puts_users_without_the_field_first():
    assert list_sql(Order("title", descending=True), Position(None, ANN)) == (
        (
            "WHERE organization_id = $1"
            " AND (fold(title) IS NULL AND user_id < $2 OR fold(title) IS NOT NULL)"
            ' ORDER BY fold(title) COLLATE "C" DESC, user_id DESC LIMIT $3 OFFSET $4'
        ),
        [ANN, 11, 0],
    )
