"""PeerService: the name, the region and the clock of this process, for its callers."""

from datetime import datetime
from typing import Final

import grpc
from cloudacademy.peers.v1 import peers_pb2 as pb
from cloudacademy.peers.v1 import peers_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.peer_registry import PeerRegistry
from chassis.rpc.timestamps import read_time, to_timestamp
from chassis.rpc.uuids import read_uuid

UNLOGGED_METHODS: Final = frozenset({"/cloudacademy.peers.v1.PeerService/ComparePeer"})
"""Each caller calls it every few seconds."""

MAX_DIGEST_LENGTH: Final = 64


class PeerServicer(peers_pb2_grpc.PeerServiceServicer):
    """Compares callers with this process."""

    def __init__(self, service: str, region: str, clock: Clock) -> None:
        self._service = service
        self._region = region
        self._clock = clock
        self._peers = PeerRegistry(clock)

    async def ComparePeer(  # noqa: N802 - the name in the proto file
        self,
        request: pb.ComparePeerRequest,
        _: "grpc.aio.ServicerContext[pb.ComparePeerRequest, pb.ComparePeerResponse]",
    ) -> pb.ComparePeerResponse:
        peer_id = read_uuid("peer_id", request.peer_id)
        digest = request.settings_digest
        if len(digest) > MAX_DIGEST_LENGTH:
            raise InvalidField("settings_digest", f"has more than {MAX_DIGEST_LENGTH} characters")
        comparison = self._peers.compare(str(peer_id), _time(request), digest)
        return pb.ComparePeerResponse(
            service=self._service,
            region=self._region,
            time=to_timestamp(self._clock()),
            another_peer_agrees=comparison.another_agrees,
            settings_differ=comparison.settings_differ,
        )


def _time(request: pb.ComparePeerRequest) -> datetime:
    if not request.HasField("time"):
        raise InvalidField("time", "is required")
    return read_time("time", request.time)
