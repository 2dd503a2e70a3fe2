"""The number of items of a page that fit into one response."""

from cloudacademy.users.v1.groups_pb2 import Member

from usersvc.rpc.convert.listing import MAX_PAGE_BYTES, fitting


def members(count: int, size: int) -> list[Member]:
    return [Member(id=str(number), display_name="x" * size) for number in range(count)]


def test_page_within_the_size_limit_is_returned_whole():
    assert fitting(members(1_000, 1_000)) == 1_000


def test_page_ends_before_the_size_limit():
    page = members(10_000, 1_000)
    count = fitting(page)

    sizes = [sum(member.ByteSize() for member in page[:count]) for count in (count, count + 1)]
    assert sizes[0] <= MAX_PAGE_BYTES < sizes[1]


def test_first_item_of_a_page_is_returned_whatever_its_size():
    assert fitting(members(2, MAX_PAGE_BYTES)) == 1
