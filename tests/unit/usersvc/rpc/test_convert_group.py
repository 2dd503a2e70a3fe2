"""The ids of a member change, of which there may be 100,000."""

import asyncio

from cloudacademy.users.v1 import groups_pb2 as pb

from usersvc.rpc.convert.group import CHUNK, to_change

USER = "01890a5d-ac96-774b-bcce-b302099a8057"


async def test_ids_are_told_from_texts_and_brought_to_lower_case():
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


async def test_other_calls_get_their_turn_after_each_chunk():
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await to_change(pb.MemberChange(add_member_ids=[USER] * (10 * CHUNK)))
    beside.cancel()

    assert turns >= 9
