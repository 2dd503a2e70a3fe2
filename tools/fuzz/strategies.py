"""Strategies for strings as SCIM clients send them, some with errors."""

from hypothesis import strategies as st

from gateway.scim.schema import GROUP, USER

PATHS = sorted({path.text for each in (USER, GROUP) for path in each.top_level})
SUB_ATTRIBUTES = [
    "value",
    "type",
    "primary",
    "display",
    "givenName",
    "formatted",
    "$ref",
    "nothing",
]
OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "Co", "is"]
LITERALS = [
    *('"a"', '"ann@corp.test"', '"work"', '""', '"\\u00e9"', '"a\\"b"', '"', "'a'", '"\\ud800"'),
    *("true", "FALSE", '"True"', "null", "1", "-1.5e300", "1e999", "bare", "bulkId:a"),
    *('"2026-11-27T00:00:00Z"', '"0001-01-01T00:00:00+14:00"', '"%"', '"_"', '"\\\\"', "*"),
    '"01999999-0000-7000-8000-000000000000"',
]


def attribute_paths() -> st.SearchStrategy[str]:
    """An attribute path, with or without a sub-attribute."""
    attribute = st.sampled_from(PATHS)
    return st.one_of(attribute, st.tuples(attribute, st.sampled_from(SUB_ATTRIBUTES)).map(".".join))


def attribute_lists() -> st.SearchStrategy[str]:
    """A value of `attributes` or `excludedAttributes`."""
    return st.lists(st.one_of(attribute_paths(), st.text(max_size=5)), max_size=4).map(",".join)


def filters() -> st.SearchStrategy[str]:
    """A filter, mostly a valid one."""
    value = st.one_of(st.sampled_from(LITERALS), st.text(max_size=4))
    comparison = st.tuples(attribute_paths(), st.sampled_from(OPERATORS), value).map(" ".join)
    presence = attribute_paths().map("{} pr".format)
    return st.recursive(
        st.one_of(comparison, presence),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or", "AND"]), inner).map(" ".join),
            inner.map("not ({})".format),
            inner.map("({})".format),
            st.tuples(st.sampled_from(PATHS), inner).map("{0[0]}[{0[1]}]".format),
        ),
        max_leaves=6,
    )


def patch_paths() -> st.SearchStrategy[str]:
    """The path of a PATCH operation."""
    value_path = st.tuples(st.sampled_from(PATHS), filters()).map("{0[0]}[{0[1]}]".format)
    sub_attribute = st.tuples(value_path, st.sampled_from(SUB_ATTRIBUTES)).map(".".join)
    return st.one_of(attribute_paths(), value_path, sub_attribute, filters())


def entity_tags() -> st.SearchStrategy[str]:
    """A value of If-Match or If-None-Match."""
    tag = st.sampled_from(['W/"1"', '"1"', 'W/""', "W/1", '"a b"', 'W/"' + "a" * 40 + '"'])
    return st.one_of(st.just("*"), st.lists(tag, min_size=1, max_size=3).map(", ".join))


def bulk_ids() -> st.SearchStrategy[str]:
    """Few ids, so that operations refer to each other, also in cycles."""
    return st.sampled_from(["a", "b", "c", ""])


def bulk_paths() -> st.SearchStrategy[str]:
    """The path of a bulk operation."""
    first = st.sampled_from(["/Users", "/Groups", "/Bulk", "/Me", "/", "Users", "//Users/"])
    second = st.sampled_from(["/bulkId:a", "/bulkId:b", "/bulkId:", "/.search", "/nobody", "/%00"])
    return st.one_of(first, st.tuples(first, second).map("".join))
