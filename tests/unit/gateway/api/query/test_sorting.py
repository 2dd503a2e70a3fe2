"""The order of lists, by sortBy or by default."""

import pytest

from gateway.api.query.sorting import LATEST_FIRST, NEWEST_FIRST, default_order, order_by
from gateway.scim import filter as filters
from gateway.scim.errors import ScimError
from gateway.scim.schema import USER

SINCE = 'meta.lastModified gt "2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("sort_by", "sort_order", "order"),
    [
        (None, None, NEWEST_FIRST),
        ("userName", None, "user_name"),
        ("NAME.familyname", "Descending", "name.family_name desc"),
        ("emails", "ascending", "emails.value"),
        ("manager", None, "enterprise.manager.value"),
        ("meta.lastModified", "descending", "update_time desc"),
    ],
)
def test_sort_by_an_ordered_attribute_sets_the_order(sort_by, sort_order, order):
    assert order_by(USER, sort_by, sort_order) == order


@pytest.mark.parametrize("sort_by", ["name", "addresses", "groups", "schemas", "bogus", "meta"])
def test_sort_by_an_attribute_without_order_gets_invalid_value(sort_by):
    with pytest.raises(ScimError) as refused:
        order_by(USER, sort_by, None)

    assert refused.value.scim_type == "invalidValue"


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (SINCE, LATEST_FIRST),
        (f"active eq true and {SINCE}", LATEST_FIRST),
        (f"active eq true or {SINCE}", NEWEST_FIRST),
        (f"not ({SINCE})", NEWEST_FIRST),
        ('meta.created gt "2026-01-01T00:00:00Z"', NEWEST_FIRST),
    ],
)
def test_default_order_follows_a_last_modified_condition(text, order):
    """The index on update_time finds the changes of a period, in its own order."""
    assert default_order(filters.parse(USER, text)) == order
