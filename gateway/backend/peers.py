"""Comparison with the services: at the start their names and regions, then the clocks.

A gateway on another service or region would answer 401 for valid keys, so that identity providers
stop provisioning, or write data into the wrong region.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final
from uuid import uuid4

import grpc
from cloudacademy.peers.v1 import peers_pb2 as pb
from cloudacademy.peers.v1 import peers_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.clock import Clock, ClockReading
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from chassis.rpc.status import from_rpc_error
from chassis.startup import StartError, redact

CALL_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
"""The interval between attempts to reach a service at the start."""
INTERVAL_SECONDS: Final = 2.0
"""The interval between comparisons of the clocks."""
VALID_SECONDS: Final = 15.0
"""How long a comparison counts."""
_CERTIFICATE_TEXTS: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")
"""gRPC's error texts for a server whose certificate is of another authority or name."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the services: its name, and its address in the settings."""

    service: str
    target: str
    channel: grpc.aio.Channel
    """The channel of requests, which reaches only servers of the right service and region."""

    @property
    def setting(self) -> str:
        """The setting with the address, and its value, for an error message."""
        return f"GATEWAY_{self.service.upper()} ({redact(self.target)})"


@dataclass(frozen=True, slots=True)
class _Verification:
    """The result of an attempt. Neither verified nor refused: the service is unavailable."""

    is_verified: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Comparison:
    reading: ClockReading
    another_agrees: bool
    at: float


class Peers:
    """The services of a gateway. `settings_digest` is compared with that of other gateways."""

    def __init__(
        self,
        peers: Sequence[Peer],
        region: str,
        settings_digest: str,
        *,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._peers = peers
        self._region = region
        self._digest = settings_digest
        self._clock = clock
        self._log = log
        self._id = str(uuid4())
        self._unverified = list(peers)
        self._unavailable: set[str] = set()
        self._comparisons: dict[str, _Comparison] = {}
        self._was_in_service = True
        self._settings_differ = False

    @property
    def is_ready(self) -> bool:
        """Whether both services have been verified, and this gateway's clock can be used."""
        return not self._unverified and self.in_service

    @property
    def in_service(self) -> bool:
        """False if the clock differs from those of all services, but agrees for another gateway."""
        recent = self._recent()
        all_differ = len(recent) == len(self._peers) and all(
            each.reading.differs for each in recent.values()
        )
        return not (all_differ and any(each.another_agrees for each in recent.values()))

    def observe(self, metrics: Metrics) -> None:
        """Publish the offset of the clock to that of each service."""
        metrics.gauges(
            "clock_offset_seconds",
            "How far this clock is ahead of another one, by its owner.",
            "peer",
            lambda: {name: each.reading.offset for name, each in self._recent().items()},
        )

    async def verify(self, certificates: Certificates | None) -> None:
        """Verify every service, and wait for those that are unavailable.

        Refuses (StartError) another service, a service of another region, and one with which this
        gateway cannot authenticate.
        """
        while self._unverified:
            await asyncio.sleep(RETRY_SECONDS)
            await self.attempt(certificates)

    async def attempt(self, certificates: Certificates | None) -> None:
        """Verify the services that have not been verified and are available."""
        results = await asyncio.gather(
            *(self._verification(each, certificates) for each in self._unverified)
        )
        if refusals := [each.refusal for each in results if each.refusal]:
            raise StartError("; ".join(refusals))
        self._unverified = [
            peer
            for peer, result in zip(self._unverified, results, strict=True)
            if not result.is_verified
        ]

    async def run(self) -> None:
        """Compare the clocks until cancelled."""
        while True:
            await asyncio.gather(*(self._compare_clocks(each) for each in self._peers))
            self._log_service_change()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _verification(self, peer: Peer, certificates: Certificates | None) -> _Verification:
        """Verify a service; without the health check, so that a wrong server answers, too."""
        async with connect(peer.target, {}, certificates, health_service="") as channel:
            try:
                response = await self._compare(channel)
            except grpc.aio.AioRpcError as error:
                self._log_unavailable(peer.service, error)
                return _Verification(refusal=_certificate_refusal(peer, error))
        if response.service != peer.service:
            return _Verification(refusal=f"{peer.setting} leads to {response.service}: correct it")
        if response.region != self._region:
            return _Verification(
                refusal=f"{peer.setting} leads to a service of region {response.region}, but "
                f"GATEWAY_REGION is {self._region}: correct one of them"
            )
        return _Verification(is_verified=True)

    async def _compare_clocks(self, peer: Peer) -> None:
        sent = self._clock()
        try:
            response = await self._compare(peer.channel)
        except grpc.aio.AioRpcError:
            return
        received = self._clock()
        reading = ClockReading.between(sent, response.time.ToDatetime(tzinfo=UTC), received)
        before = self._comparisons.get(peer.service)
        self._comparisons[peer.service] = _Comparison(
            reading, response.another_peer_agrees, time.monotonic()
        )
        if reading.differs is not (before is not None and before.reading.differs):
            self._log_comparison(peer.service, reading)
        if response.settings_differ and not self._settings_differ:
            self._log.warning("shared settings differ", peer=peer.service, digest=self._digest)
        self._settings_differ = response.settings_differ

    async def _compare(self, channel: grpc.aio.Channel) -> pb.ComparePeerResponse:
        now = Timestamp()
        now.FromDatetime(self._clock())
        request = pb.ComparePeerRequest(peer_id=self._id, time=now, settings_digest=self._digest)
        return await peers_pb2_grpc.PeerServiceStub(channel).ComparePeer(
            request, timeout=CALL_SECONDS
        )

    def _recent(self) -> Mapping[str, _Comparison]:
        now = time.monotonic()
        comparisons = dict(self._comparisons)  # a metrics scrape runs in another thread
        return {name: each for name, each in comparisons.items() if now - each.at < VALID_SECONDS}

    def _log_comparison(self, service: str, reading: ClockReading) -> None:
        write = self._log.warning if reading.differs else self._log.info
        write(
            "clock compared",
            peer=service,
            offset_seconds=round(reading.offset, 3),
            agrees=not reading.differs,
        )

    def _log_unavailable(self, service: str, error: grpc.aio.AioRpcError) -> None:
        """Log that a service is unavailable, once."""
        if service not in self._unavailable:
            self._unavailable.add(service)
            self._log.warning("service not verified", peer=service, status_code=error.code().name)

    def _log_service_change(self) -> None:
        if self.in_service is not self._was_in_service:
            self._was_in_service = self.in_service
            self._log.warning("clock decides service", in_service=self.in_service)


def _certificate_refusal(peer: Peer, error: grpc.aio.AioRpcError) -> str:
    """The reason to refuse a service if the processes cannot authenticate each other, else empty.

    A service that refuses the gateway's certificate closes the connection, like one that ends.
    """
    text = error.details() or ""
    if from_rpc_error(error).reason == "CALLER_NOT_ADMITTED":
        return (
            f"{peer.setting} does not admit this gateway: GATEWAY_TLS_CERTIFICATE needs the DNS "
            "name `gateway`"
        )
    if error.code() is grpc.StatusCode.UNAVAILABLE and any(
        each in text for each in _CERTIFICATE_TEXTS
    ):
        return (
            f"{peer.setting} has a certificate of another authority or another name: correct it, "
            "or GATEWAY_TLS_AUTHORITY"
        )
    return ""
