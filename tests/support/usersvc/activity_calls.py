"""Short forms of the calls of the ActivityService."""

from cloudacademy.users.v1 import activity_pb2
from cloudacademy.users.v1.activity_pb2 import Activity

from chassis.database.pool import Database
from chassis.rpc.timestamps import to_timestamp
from tests.support.usersvc.user_calls import ACME
from usersvc.store.activities.rollup import ActivityRollup


async def list_activities(stub, organization_id: str = ACME, **fields: object) -> list[Activity]:
    request = activity_pb2.ListActivitiesRequest(organization_id=organization_id, **fields)
    return list((await stub.ListActivities(request)).activities)


async def roll_up(users_url: str) -> None:
    """Roll up all entries of the log, as a background task does."""
    async with Database(users_url, "test") as database:
        while await ActivityRollup(database).roll_up():
            pass


async def record_refusal(stub, clock, organization_id: str = ACME, **fields: object) -> None:
    fields.setdefault("action", Activity.ACTION_CREATE_USER)
    refusal = {"method": "POST", "target": "/Users", "status": 409, "error_type": "uniqueness"}
    refusal |= {"detail": "Taken.", "reason": "USER_NAME_TAKEN", "body": '{"userName":"ann"}'}
    refusal |= fields.pop("refusal", {})
    activity = Activity(
        organization_id=organization_id,
        time=to_timestamp(clock.now),
        refusal=activity_pb2.RefusedRequest(**refusal),
        **fields,
    )
    await stub.RecordRefusals(activity_pb2.RecordRefusalsRequest(activities=[activity]))
