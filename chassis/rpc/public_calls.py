"""Admission control for calls without authorization: health and reflection."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

import grpc

from chassis.rpc.authorization import CallerAuthorization
from chassis.rpc.peer_slots import Limits, PeerSlots

HEALTH: Final = "/grpc.health.v1.Health/"
REFLECTION: Final = "/grpc.reflection."

KNOWN_WATCHES: Final = Limits(total=512, host=128, connection=4)
"""Limits for the Health.Watch streams of callers that `CallerAuthorization` knows.

Each connection of a gateway has one such stream (`chassis.rpc.channel`).
"""
OTHER_WATCHES: Final = Limits(total=64, host=32, connection=4)
REFLECTIONS: Final = Limits(total=16, host=8, connection=2)
UNARY: Final = Limits(total=128, host=64, connection=32)

MAX_PUBLIC_STREAMS: Final = KNOWN_WATCHES.total + OTHER_WATCHES.total + REFLECTIONS.total
"""The maximum number of concurrent streams of these services."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Slot: TypeAlias = AbstractContextManager[None]


class PublicCalls:
    """Limits calls of the health and reflection services, in total and for each client.

    Known callers have their own limits, so that other clients with a certificate cannot use up the
    health streams of gateways. A gateway sends calls only to servers whose health it can watch.
    Without TLS every caller counts as known, because only this machine can reach the server.
    """

    def __init__(self, authorization: CallerAuthorization | None) -> None:
        self._authorization = authorization
        self._known, self._others = PeerSlots(KNOWN_WATCHES), PeerSlots(OTHER_WATCHES)
        self._reflections = PeerSlots(REFLECTIONS)
        self._unary = PeerSlots(UNARY)

    @staticmethod
    def includes(method: str) -> bool:
        """Whether every caller may call a method."""
        return method.startswith((HEALTH, REFLECTION))

    def unary_slot(self, context: Context) -> Slot:
        """A slot for a unary call. Refuses OVERLOADED."""
        return self._unary.slot(context.peer())

    def stream_slot(self, method: str) -> Callable[[Context], Slot]:
        """The function that gives slots to streams of a method. It refuses OVERLOADED."""
        return self._watch_slot if method.startswith(HEALTH) else self._reflection_slot

    def _watch_slot(self, context: Context) -> Slot:
        is_known = self._authorization is None or self._authorization.knows(context)
        return (self._known if is_known else self._others).slot(context.peer())

    def _reflection_slot(self, context: Context) -> Slot:
        return self._reflections.slot(context.peer())
