"""Filters (RFC 7644 section 3.4.2.2): parse, check against the schema, evaluate and print.

    filter = term *( ("and" / "or") term )             and binds tighter than or
    term   = ["not"] "(" filter ")"
           / path "pr" / path operator value
           / path "[" filter "]" [ "." sub-attribute ] [ "pr" / operator value ]

Beyond this grammar: a value may be a bare word (Entra's documents show `externalId eq jyoung`), a
boolean may be a string (`primary eq "True"`), and a complex attribute that has a `value` may be
compared directly (`manager eq "u2"`).
"""

from gateway.scim.filter.matching import element_test, matches
from gateway.scim.filter.parser import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    ValuePath,
    parse,
    parse_value_path,
)
from gateway.scim.filter.printer import to_text
from gateway.scim.filter.tree import (
    And,
    Compare,
    ElementMatch,
    Filter,
    Not,
    Operator,
    Or,
    Present,
    Value,
    nodes,
)

__all__ = [
    "MAX_CONDITIONS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "And",
    "Compare",
    "ElementMatch",
    "Filter",
    "Not",
    "Operator",
    "Or",
    "Present",
    "Value",
    "ValuePath",
    "element_test",
    "matches",
    "nodes",
    "parse",
    "parse_value_path",
    "to_text",
]
