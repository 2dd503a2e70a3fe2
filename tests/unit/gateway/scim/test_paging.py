"""startIndex and count of a query."""

import pytest

from gateway.scim import paging
from gateway.scim.paging import Page
from tests.support.scim_errors import refused


@pytest.mark.parametrize(
    ("start_index", "count", "page"),
    [
        (None, None, Page(1, 100)),
        ("6", "5", Page(6, 5)),
        (" 6\x1f", "\x1f5 ", Page(6, 5)),
        ("0", "0", Page(1, 0)),
        ("-7", "-7", Page(1, 0)),
        ("1", "1001", Page(1, 1000)),
        ("9" * 99, "9" * 99, Page(2**31 - 1, 1000)),
        (" +3 ", "2", Page(3, 2)),
    ],
)
def test_start_index_and_count_are_clamped_to_the_limits(start_index, count, page):
    assert paging.parse(start_index, count) == page


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "٣", "9" * 5000, "0x10", "1_000"])
def test_text_that_is_not_an_integer_is_refused_with_its_parameter(text):
    with refused(400, "invalidValue", "startIndex"):
        paging.parse(text, None)
    with refused(400, "invalidValue", "count"):
        paging.parse(None, text)
