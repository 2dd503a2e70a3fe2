"""Admission control for the calls that need no permission: health and reflection."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

import grpc

from chassis.admission import Admission
from chassis.peers import Limits, PeerSlots

HEALTH: Final = "/grpc.health.v1.Health/"
REFLECTION: Final = "/grpc.reflection."

KNOWN_WATCHES: Final = Limits(total=512, host=128, connection=4)
"""Health streams of callers that the table of callers names.

Every connection of a gateway has one (`chassis.channel`).
"""
OTHER_WATCHES: Final = Limits(total=64, host=32, connection=4)
REFLECTIONS: Final = Limits(total=16, host=8, connection=2)
UNARY: Final = Limits(total=128, host=64, connection=32)

ALL_STREAMS: Final = KNOWN_WATCHES.total + OTHER_WATCHES.total + REFLECTIONS.total

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Slot: TypeAlias = AbstractContextManager[None]


class OpenCalls:
    """Gives slots to calls of health and reflection, whose number is limited for each client.

    Known callers have a share of their own: other clients with a certificate cannot keep a gateway
    from watching the health of a server, and a gateway sends no calls without that. Without TLS
    every caller counts as known, since only this machine reaches the server.
    """

    def __init__(self, admission: Admission | None) -> None:
        self._admission = admission
        self._known, self._others = PeerSlots(KNOWN_WATCHES), PeerSlots(OTHER_WATCHES)
        self._reflections = PeerSlots(REFLECTIONS)
        self._unary = PeerSlots(UNARY)

    @staticmethod
    def includes(method: str) -> bool:
        """Whether a method is open to every caller."""
        return method.startswith((HEALTH, REFLECTION))

    def unary_slot(self, context: Context) -> Slot:
        """A slot for a call with one response; refuses Overloaded."""
        return self._unary.slot(context.peer())

    def stream_slot(self, method: str) -> Callable[[Context], Slot]:
        """The function that gives slots to the streams of a method; it refuses Overloaded."""
        return self._watch_slot if method.startswith(HEALTH) else self._reflection_slot

    def _watch_slot(self, context: Context) -> Slot:
        is_known = self._admission is None or self._admission.knows(context)
        return (self._known if is_known else self._others).slot(context.peer())

    def _reflection_slot(self, context: Context) -> Slot:
        return self._reflections.slot(context.peer())
