"""PATCH (RFC 7644 section 3.5.2): what a client's operations make of a resource.

`apply` is the whole of it, for any resource and any operation. Two short cuts need no resource to
be read first: `assignments` for operations that only set or clear single-valued attributes, and
`member_changes` for those on a group.

Where Entra departs from the RFC, so do we: a value path whose element is missing creates it, an
empty string clears, Add replaces a single value, and Remove with a `value` removes only that.
"""

from gateway.scim.patch.assignments import assignments
from gateway.scim.patch.budget import MAX_STEPS, OverBudgetError
from gateway.scim.patch.members import MemberChanges, member_changes
from gateway.scim.patch.message import MAX_OPERATIONS, PATCH_OP_URN, Op, Operation, parse
from gateway.scim.patch.whole import apply

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
