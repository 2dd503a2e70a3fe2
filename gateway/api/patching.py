"""Applies a PATCH to a resource without blocking the event loop."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.api.request import ScimRequest
from gateway.http.responses import Document
from gateway.scim.patch import Operation, OverBudgetError, apply
from gateway.scim.schema import ResourceType

MAX_INLINE_STEPS: Final = 40_000
"""About 5 ms of work. A PATCH of Entra takes a few hundred steps."""


async def apply_patch(
    request: ScimRequest,
    resource_type: ResourceType,
    resource: Mapping[str, Any],
    operations: Sequence[Operation],
) -> Document:
    """The resource after the operations (`gateway.scim.patch.apply`).

    The cost depends on the resource. So a PATCH first runs in the event loop with few steps. If
    these do not suffice, it runs again in the worker thread, with the full budget.
    """
    try:
        return apply(resource_type, resource, operations, MAX_INLINE_STEPS)
    except OverBudgetError:
        return await request.offload(lambda: apply(resource_type, resource, operations))
