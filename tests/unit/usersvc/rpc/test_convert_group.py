"""Conversion of a member change, which may have 100,000 ids."""

import asyncio

from cloudacademy.users.v1 import groups_pb2 as pb

from usersvc.rpc.convert.group import CHUNK_SIZE, to_change

USER = "01890a5d-ac96-774b-bcce-b302099a8057"


async def test_member_ids_are_separated_from_texts_and_lower_cased():
    change = await to_change(
        pb.MemberChange(
            add_member_ids=[USER.upper(), "ann", USER.replace("-", ""), f"{{{USER}}}"],
            remove_member_ids=[USER, ""],
            keep_unknown=True,
        )
    )

    assert change.add == (USER,)
    assert change.add_texts == ("ann", USER.replace("-", ""), f"{{{USER}}}")
    assert (change.remove, change.remove_texts) == ((USER,), ("",))


async def test_other_calls_run_after_each_chunk_of_member_ids():
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other_calls = asyncio.create_task(count_turns())
    await to_change(pb.MemberChange(add_member_ids=[USER] * (10 * CHUNK_SIZE)))
    other_calls.cancel()

    assert turns >= 9
