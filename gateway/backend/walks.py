"""The client of usersvc for walks: lists that are read page by page, by index."""

import grpc
from cloudacademy.users.v1 import walks_pb2 as pb
from cloudacademy.users.v1 import walks_pb2_grpc

from gateway.backend.client import Origin, call
from gateway.backend.errors import RefusedError


class WalkClient:
    """Finds and stores walks in usersvc.

    An error of the service is raised as `gateway.backend.errors.RefusedError`. During an
    update, a release of usersvc without walks may answer: it counts as one that has stored none.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = walks_pb2_grpc.WalkServiceStub(channel)

    async def find(self, request: pb.FindWalkRequest, origin: Origin) -> pb.Walk | None:
        """The walk that a page belongs to."""
        try:
            response = await call(self._stub.FindWalk, request, origin)
        except RefusedError as refusal:
            if _is_unimplemented(refusal):
                return None
            raise
        return response.walk if response.HasField("walk") else None

    async def save(self, request: pb.SaveWalkRequest, origin: Origin) -> None:
        """Store a walk after a page.

        An unavailable database is not an error here. The page was read, and a database that refuses
        writes deletes no resource either, so the next page is right without the walk.
        """
        try:
            await call(self._stub.SaveWalk, request, origin)
        except RefusedError as refusal:
            if refusal.reason != "DATABASE_UNAVAILABLE" and not _is_unimplemented(refusal):
                raise


def _is_unimplemented(refusal: RefusedError) -> bool:
    error = refusal.__cause__
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNIMPLEMENTED
