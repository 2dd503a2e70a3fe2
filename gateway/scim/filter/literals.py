"""The operators and values that the type of an attribute allows in a comparison."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from gateway.scim import values
from gateway.scim.entra_roles import ROLE_VALUE, role_value
from gateway.scim.errors import describe, invalid_filter, printable
from gateway.scim.filter.lexer import STRING, Token
from gateway.scim.filter.tree import Operator, Value
from gateway.scim.schema import Attribute, Type

_TEXTUAL: Final = frozenset(Operator)
_ORDERED: Final = _TEXTUAL - {Operator.CO, Operator.SW, Operator.EW}
_EQUALITY: Final = frozenset({Operator.EQ, Operator.NE})
# RFC 7644 table 3: an order comparison of a boolean or binary attribute is a 400 invalidFilter.
OPERATORS: Final[Mapping[Type, frozenset[Operator]]] = {
    Type.STRING: _TEXTUAL,
    Type.REFERENCE: _TEXTUAL,
    Type.DATE_TIME: _ORDERED,
    Type.INTEGER: _ORDERED,
    Type.DECIMAL: _ORDERED,
    Type.BOOLEAN: _EQUALITY,
    Type.BINARY: _EQUALITY,
    Type.COMPLEX: _EQUALITY,
}

# Entra's documents show `externalId eq jyoung`. An unquoted text may have letters, digits and what
# an e-mail address (RFC 5322 section 3.2.3) or base64 contains. Anything else, such as 'ann', may
# be another notation of a string, which would be compared with its quotes and match nobody.
_QUOTE_LETTERS: Final = "\u02b0-\u02ff\u0374\u07f4\u07f5\ua78b\ua78c"
_UNQUOTED_TEXT: Final = re.compile(rf"(?!')(?:[^\W{_QUOTE_LETTERS}]|[@.!#$%&'*+/=?^|~-])+(?<!')")
_LETTERS_AND_BETWEEN: Final = re.compile(r"\w(?:.*\w)?")
_KEYWORDS: Final = frozenset({*map(str, Operator), "pr", "and", "or", "not", "true", "false"})

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def operators_of(type_: Type) -> str:
    """The operators that a type allows, as `detail` shows them."""
    names = [each.value for each in Operator if each in OPERATORS[type_]]
    return ", ".join([*names, "pr"])


def literal(name: str, attribute: Attribute, token: Token) -> Value:
    """The value of a comparison, converted to the attribute's type; refuses another type."""
    quoted = token.kind == STRING
    text = _unquoted(token) if quoted else token.text
    value: Value | None = None
    match attribute.type:
        case Type.STRING | Type.REFERENCE | Type.BINARY:
            value = text if quoted else _unquoted_text(name, token)
            if value and attribute is ROLE_VALUE:
                value = role_value(value)
        case Type.BOOLEAN:
            value = values.boolean(text)
        case Type.DATE_TIME:
            value = values.date_time(text)
        case Type.INTEGER | Type.DECIMAL:
            value = None if quoted else _number(attribute, text)
        case Type.COMPLEX:
            raise invalid_filter(
                f"{name} has several parts; compare one of them, such as"
                f" {name}.{next(iter(attribute.sub_attributes.values())).name}."
            )
    if value is None:
        raise invalid_filter(
            f"{name} is of type {attribute.type} and cannot be compared with {describe(text)}"
            f" (at character {token.position} of the filter);"
            f" send {values.EXPECTED[attribute.type]}."
        )
    return value


def _unquoted_text(name: str, token: Token) -> str:
    """A text without quotes; refuses one that may have been meant otherwise."""
    text = token.text
    if not _UNQUOTED_TEXT.fullmatch(text) or text.lower() in _KEYWORDS:
        raise invalid_filter(
            f"{name} cannot be compared with {printable(text)} (at character {token.position} of"
            f" the filter). Send a string in double quotes, such as {describe(_bare(text))}."
        )
    return text


def _bare(text: str) -> str:
    """The letters and digits of a text and what is between them; an example if it has none."""
    found = _LETTERS_AND_BETWEEN.search(text)
    return found[0] if found else "ann"


def _unquoted(token: Token) -> str:
    try:
        text: str = orjson.loads(token.text)
    except orjson.JSONDecodeError:
        raise invalid_filter(
            f"The string {describe(token.text)} at character {token.position} of the filter is not"
            ' a JSON string; write quotes within it as \\" and backslashes as \\\\.'
        ) from None
    if fault := values.text_fault(text):
        raise invalid_filter(f"The string at character {token.position} of the filter {fault}.")
    return text


def _number(attribute: Attribute, text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return values.integer(text) if attribute.type is Type.INTEGER else values.decimal(text)
