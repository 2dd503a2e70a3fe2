"""How much of a page goes into one answer."""

from cloudacademy.users.v1.groups_pb2 import Member

from usersvc.rpc.convert.listing import MAX_PAGE_BYTES, fitting


def members(count: int, size: int) -> list[Member]:
    return [Member(id=str(number), display_name="x" * size) for number in range(count)]


def test_a_page_that_fits_is_whole():
    assert fitting(members(1_000, 1_000)) == 1_000


def test_a_page_ends_before_it_is_larger_than_callers_take():
    page = members(10_000, 1_000)
    count = fitting(page)

    sizes = [sum(each.ByteSize() for each in page[:count]) for count in (count, count + 1)]
    assert sizes[0] <= MAX_PAGE_BYTES < sizes[1]


def test_the_first_of_a_page_goes_out_however_large_it_is():
    assert fitting(members(2, MAX_PAGE_BYTES)) == 1
