"""Authorization of callers by the names in their certificates."""

from collections.abc import Mapping, Set
from typing import Any, Final, TypeAlias

import grpc

from chassis.errors import CALLER_NOT_ADMITTED, Refusal

Callers: TypeAlias = Mapping[str, Mapping[str, Set[str]]]
"""The callers of each method: service → method → names."""

_NAMES: Final = ("peer_dns", "peer_uri")  # gRPC's properties for subject alternative names
_NO_NAMES: Final[Set[str]] = frozenset()

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CallerAuthorization:
    """Authorizes callers by the DNS names and URIs of their certificates.

    A method that the table does not list has no callers.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = {
            f"/{service}/{method}": frozenset(names)
            for service, methods in callers.items()
            for method, names in methods.items()
        }
        self._known: Set[str] = frozenset[str]().union(*self._callers.values())

    def authorize(self, method: str, context: Context) -> str:
        """The name that authorizes the caller for a method. Refuses CALLER_NOT_ADMITTED."""
        authorized = self._callers.get(method, _NO_NAMES)
        names = _names(context)
        for name in names:
            if name in authorized:
                return name
        raise Refusal(CALLER_NOT_ADMITTED, names[0] if names else "A caller without a name", method)

    def knows(self, context: Context) -> bool:
        """Whether the table lists the caller for any method."""
        return not self._known.isdisjoint(_names(context))


def _names(context: Context) -> list[str]:
    properties = context.auth_context()
    return [name.decode() for kind in _NAMES for name in properties.get(kind, ())]
