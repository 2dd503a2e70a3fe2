"""Named arguments in SQL become the numbered ones of PostgreSQL."""

import pytest

from chassis.database.arguments import argument_list, number_arguments


def test_named_argument_gets_the_number_of_its_position():
    text = "UPDATE t SET a = :a, b = :b::uuid[] WHERE id = :id AND :a <> 'x'::text"

    assert number_arguments(text, ("id", "a", "b")) == (
        "UPDATE t SET a = $2, b = $3::uuid[] WHERE id = $1 AND $2 <> 'x'::text"
    )


def test_argument_name_that_is_a_prefix_of_another_is_distinguished():
    assert number_arguments(":user_id :user", ("user", "user_id")) == "$2 $1"


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ()])
def test_names_that_differ_from_those_of_the_statement_are_refused(names):
    with pytest.raises(ValueError, match=r"c|b|a"):
        number_arguments("SELECT :a, :b", names)


def test_columns_become_arguments_with_the_same_names():
    assert (
        number_arguments(f"VALUES ({argument_list(('a', 'b'))})", ("b", "a")) == "VALUES ($2, $1)"
    )
