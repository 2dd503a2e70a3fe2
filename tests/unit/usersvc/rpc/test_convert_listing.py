"""How much of a page goes into one answer."""

from cloudacademy.users.v1.groups_pb2 import Member

from usersvc.rpc.convert import listing as wire_list


def members(count: int, size: int) -> list[Member]:
    return [Member(id=str(number), display_name="x" * size) for number in range(count)]


def test_a_page_that_fits_is_whole():
    assert wire_list.fitting(members(1_000, 1_000)) == 1_000


def test_a_page_ends_before_it_is_larger_than_callers_take():
    page = members(10_000, 1_000)
    fitting = wire_list.fitting(page)

    sizes = [sum(each.ByteSize() for each in page[:count]) for count in (fitting, fitting + 1)]
    assert sizes[0] <= wire_list.MAX_PAGE_BYTES < sizes[1]


def test_the_first_of_a_page_goes_out_however_large_it_is():
    assert wire_list.fitting(members(2, wire_list.MAX_PAGE_BYTES)) == 1
