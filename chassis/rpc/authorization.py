"""Who may call what: the names in callers' certificates against a table."""

from collections.abc import Mapping, Set
from typing import Any, Final, TypeAlias

import grpc

from chassis.errors import CALLER_NOT_ADMITTED, Refusal

Callers: TypeAlias = Mapping[str, Mapping[str, Set[str]]]
"""The names that each method admits: service → method → names."""

_NAMES: Final = ("peer_dns", "peer_uri")  # subject alternative names, as gRPC hands them over
_NOBODY: Final[Set[str]] = frozenset()

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CallerAuthorization:
    """Lets a caller in by the DNS names and URIs of its certificate.

    What the table does not name is open to nobody.
    """

    def __init__(self, callers: Callers) -> None:
        self._admitted = {
            f"/{service}/{method}": frozenset(names)
            for service, methods in callers.items()
            for method, names in methods.items()
        }
        self._known: Set[str] = frozenset[str]().union(*self._admitted.values())

    def authorize(self, method: str, context: Context) -> str:
        """The name by which the caller is let in; refuses CALLER_NOT_ADMITTED."""
        admitted = self._admitted.get(method, _NOBODY)
        names = _names(context)
        for name in names:
            if name in admitted:
                return name
        raise Refusal(CALLER_NOT_ADMITTED, names[0] if names else "A caller without a name", method)

    def knows(self, context: Context) -> bool:
        """Whether the table names the caller for any method."""
        return not self._known.isdisjoint(_names(context))


def _names(context: Context) -> list[str]:
    properties = context.auth_context()
    return [name.decode() for kind in _NAMES for name in properties.get(kind, ())]
