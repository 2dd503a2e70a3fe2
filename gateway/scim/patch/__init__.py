"""PATCH (RFC 7644 section 3.5.2): applies a client's operations to a resource.

`apply` handles any operation on any resource. Two shortcuts do not need to read the resource
first: `assignments`, for operations that only set or clear single-valued attributes, and
`member_changes`, for operations on a group.

Entra deviates from the RFC in these points, and we follow Entra: a value path by `type` or
`primary` without a matching element creates one, an empty string clears, Add replaces a single
value, and Remove with a `value` removes only that value.
"""

from gateway.scim.patch.apply import apply
from gateway.scim.patch.assignments import assignments
from gateway.scim.patch.budget import MAX_STEPS, OverBudgetError
from gateway.scim.patch.members import MemberChanges, member_changes
from gateway.scim.patch.message import MAX_OPERATIONS, PATCH_OP_URN, Op, Operation, parse

__all__ = [
    "MAX_OPERATIONS",
    "MAX_STEPS",
    "PATCH_OP_URN",
    "MemberChanges",
    "Op",
    "Operation",
    "OverBudgetError",
    "apply",
    "assignments",
    "member_changes",
    "parse",
]
