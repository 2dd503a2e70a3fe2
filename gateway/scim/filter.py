"""Filters (RFC 7644 section 3.4.2.2): text to tree, checked against the schema, and back.

    filter = term *( ("and" / "or") term )             and binds tighter than or
    term   = ["not"] "(" filter ")"
           / path "pr" / path operator value
           / path "[" filter "]" [ "." sub-attribute ] [ "pr" / operator value ]

Beyond the grammar: a value may be a bare word (Entra's documents show `externalId eq jyoung`), a
boolean may be a string (`primary eq "True"`), and a complex attribute that has a `value` may be
compared itself (`manager eq "u2"`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from gateway.scim import values
from gateway.scim.errors import ScimError, invalid_filter, shown
from gateway.scim.schema import Attribute, AttributePath, ResourceType, Type, value_path
from gateway.scim.values import Json

MAX_LENGTH: Final = 8192
MAX_DEPTH: Final = 30
MAX_NODES: Final = 200


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


Value = str | bool | int | float | datetime


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Filter"


@dataclass(frozen=True, slots=True)
class Compare:
    """`ne` holds where a single-valued attribute is absent; else some value has to satisfy it."""

    path: AttributePath
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    path: AttributePath


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """One element of `path` satisfies `filter`, whose own paths lead from the resource, too."""

    path: AttributePath
    filter: "Filter"


Filter = And | Or | Not | Compare | Present | ElementMatch


class ValuePath(NamedTuple):
    """`attribute[filter]` or `attribute[filter].sub`: the value path of a PATCH."""

    target: AttributePath
    filter: Filter


_TEXTUAL: Final = frozenset(Operator)
_ORDERED: Final = _TEXTUAL - {Operator.CO, Operator.SW, Operator.EW}
_EQUALITY: Final = frozenset({Operator.EQ, Operator.NE})
# RFC 7644 table 3: order on a boolean or binary attribute is a 400 invalidFilter.
_OPERATORS: Final[Mapping[Type, frozenset[Operator]]] = {
    Type.STRING: _TEXTUAL,
    Type.REFERENCE: _TEXTUAL,
    Type.DATE_TIME: _ORDERED,
    Type.INTEGER: _ORDERED,
    Type.DECIMAL: _ORDERED,
    Type.BOOLEAN: _EQUALITY,
    Type.BINARY: _EQUALITY,
    Type.COMPLEX: _EQUALITY,
}
_BY_NAME: Final = {each.value: each for each in Operator}
_PRESENT: Final = "pr"

_TOKEN: Final = re.compile(r'\s*(?:([()\[\]])|("(?:[^"\\]+|\\.)*+")|([^\s()\[\]"]+))', re.DOTALL)
_PUNCTUATION, _STRING, _WORD, _END = 1, 2, 3, 4
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class _Token(NamedTuple):
    kind: int
    text: str
    position: int  # of its first character, counted from 1


def parse(resource_type: ResourceType, text: str) -> Filter:
    """The filter that a text describes; 400 invalidFilter says what is wrong with it and where."""
    parser = _Parser(resource_type, text)
    tree = parser.disjunction()
    parser.finish()
    return tree


def parse_value_path(resource_type: ResourceType, text: str) -> ValuePath:
    """The value path of a PATCH operation (RFC 7644 section 3.5.2, figure 7)."""
    parser = _Parser(resource_type, text)
    found = parser.value_path()
    parser.finish()
    return found


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid_filter(f"The filter has a string that does not end: {shown(text)}.")
        kind = match.lastindex or _WORD
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    tokens.append(_Token(_END, "", end + 1))
    return tokens


class _Parser:
    __slots__ = ("_depth", "_element", "_index", "_nodes", "_resource_type", "_text", "_tokens")

    def __init__(self, resource_type: ResourceType, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise invalid_filter(
                f"The filter is {len(text)} characters long; at most {MAX_LENGTH} are read."
            )
        if fault := values.text_fault(text):
            raise invalid_filter(f"The filter {fault}.")
        self._resource_type = resource_type
        self._text = text
        self._tokens = _tokens(text)
        self._index = 0
        self._depth = 0
        self._nodes = 0
        self._element: AttributePath | None = None  # whose brackets we are in

    def disjunction(self) -> Filter:
        operands = [self._conjunction()]
        while self._take_word("or"):
            operands.append(self._conjunction())
        return self._count(Or(tuple(operands))) if len(operands) > 1 else operands[0]

    def value_path(self) -> ValuePath:
        path = self._attribute()
        element = self._brackets(path)
        suffix = self._suffix(path)
        return ValuePath(suffix or path, element)

    def finish(self) -> None:
        token = self._peek()
        if token.kind != _END:
            raise self._unexpected(token, '"and", "or" or the end')

    def _conjunction(self) -> Filter:
        operands = [self._term()]
        while self._take_word("and"):
            operands.append(self._term())
        return self._count(And(tuple(operands))) if len(operands) > 1 else operands[0]

    def _term(self) -> Filter:
        token = self._peek()
        if token.text == "(":
            return self._group()
        if token.kind == _WORD and token.text.lower() == "not" and self._peek(1).text == "(":
            self._index += 1
            return self._count(Not(self._group()))
        path = self._attribute()
        if self._peek().text == "[":
            return self._element_match(path)
        return self._attribute_expression(path)

    def _group(self) -> Filter:
        self._next()
        self._deeper()
        tree = self.disjunction()
        self._depth -= 1
        self._expect(")")
        return tree

    def _element_match(self, path: AttributePath) -> Filter:
        tree = self._brackets(path)
        suffix = self._suffix(path)
        if suffix is not None or self._at_operator():
            # emails[type eq "work"].value eq "x" is one element that satisfies both.
            inner = self._attribute_expression(suffix or path, within=path)
            tree = self._both(tree, inner)
        return self._count(ElementMatch(path, tree))

    def _both(self, first: Filter, second: Filter) -> Filter:
        operands = first.operands if isinstance(first, And) else (first,)
        return self._count(And((*operands, second)))

    def _brackets(self, path: AttributePath) -> Filter:
        attribute = path.attribute
        if path.sub_attribute is not None or not (
            attribute.multi_valued or attribute.type is Type.COMPLEX
        ):
            raise invalid_filter(
                f"{path.text} is a single value and has no elements to choose from;"
                f" write {path.text} without brackets."
            )
        if self._element is not None:
            raise invalid_filter(f"The brackets of {path.text} stand within other brackets.")
        self._expect("[")
        self._element = path
        self._deeper()
        tree = self.disjunction()
        self._depth -= 1
        self._element = None
        self._expect("]")
        return tree

    def _suffix(self, path: AttributePath) -> AttributePath | None:
        """The `.value` that stands right behind a closing bracket."""
        token = self._peek()
        if token.kind != _WORD or not token.text.startswith("."):
            return None
        self._index += 1
        return self._sub_path(path, token.text[1:], token)

    def _attribute(self) -> AttributePath:
        token = self._next()
        if token.kind != _WORD:
            raise self._unexpected(token, "the name of an attribute")
        if self._element is not None:
            return self._sub_path(self._element, token.text, token)
        path = self._resource_type.find(token.text)
        if path is None:
            raise invalid_filter(
                f"{self._resource_type.name} has no attribute {shown(token.text)}"
                f" (at character {token.position} of the filter)."
            )
        return path

    def _sub_path(self, path: AttributePath, name: str, token: _Token) -> AttributePath:
        sub_attribute = path.attribute.sub_attributes.get(name.lower())
        if sub_attribute is not None:
            return AttributePath(path.extension, path.attribute, sub_attribute)
        if path.attribute.type is not Type.COMPLEX and name.lower() == "value":
            return path  # the values of a simple multi-valued attribute themselves
        raise invalid_filter(
            f"{path.text} has no sub-attribute {shown(name)}"
            f" (at character {token.position} of the filter)."
        )

    def _attribute_expression(
        self, path: AttributePath, *, within: AttributePath | None = None
    ) -> Filter:
        token = self._next()
        name = token.text.lower() if token.kind == _WORD else ""
        if name == _PRESENT:
            return self._count(Present(value_path(path) if within is path else path))
        operator = _BY_NAME.get(name)
        if operator is None:
            raise self._unexpected(token, "an operator such as eq")
        return self._comparison(path, operator, self._next())

    def _comparison(self, path: AttributePath, operator: Operator, token: _Token) -> Filter:
        if token.kind not in {_STRING, _WORD}:
            raise self._unexpected(token, "a value")
        if token.kind == _WORD and token.text.lower() == "null":
            return self._null_comparison(path, operator)
        path = value_path(path)
        attribute = path.target
        if operator not in _OPERATORS[attribute.type]:
            raise invalid_filter(
                f"The operator {operator} does not apply to {path.text}, which is of type"
                f" {attribute.type}; use {_listed(attribute.type)}."
            )
        return self._count(Compare(path, operator, _literal(path.text, attribute, token)))

    def _null_comparison(self, path: AttributePath, operator: Operator) -> Filter:
        present = self._count(Present(path))
        if operator is Operator.NE:
            return present
        if operator is Operator.EQ:
            self._deeper()  # as its text will be, once printed
            self._depth -= 1
            return self._count(Not(present))
        raise invalid_filter(f"{path.text} {operator} null has no meaning; use eq or ne.")

    def _at_operator(self) -> bool:
        token = self._peek()
        name = token.text.lower()
        return token.kind == _WORD and (name in _BY_NAME or name == _PRESENT)

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token.kind != _WORD or token.text.lower() != word:
            return False
        self._index += 1
        return True

    def _expect(self, punctuation: str) -> None:
        token = self._next()
        if token.kind != _PUNCTUATION or token.text != punctuation:
            raise self._unexpected(token, f'"{punctuation}"')

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid_filter(f"The filter is nested more than {MAX_DEPTH} levels deep.")

    def _count(self, node: Filter) -> Filter:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise invalid_filter(
                f"The filter has more than {MAX_NODES} conditions; ask in several requests."
            )
        return node

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def _next(self) -> _Token:
        token = self._peek()
        self._index += 1
        return token

    def _unexpected(self, token: _Token, wanted: str) -> ScimError:
        if token.kind == _END:
            return invalid_filter(f"The filter {shown(self._text)} ends where {wanted} is due.")
        return invalid_filter(
            f"The filter has {shown(token.text)} at character {token.position},"
            f" where {wanted} is due."
        )


def _listed(type_: Type) -> str:
    names = [each.value for each in Operator if each in _OPERATORS[type_]]
    return ", ".join([*names, _PRESENT])


def _literal(name: str, attribute: Attribute, token: _Token) -> Value:
    """The value of a comparison, as the type of the attribute wants it."""
    quoted = token.kind == _STRING
    text = _unquoted(token) if quoted else token.text
    value: Value | None = None
    match attribute.type:
        case Type.STRING | Type.REFERENCE | Type.BINARY:
            value = text if quoted or text.lower() not in {"true", "false"} else None
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
            f"{name} is of type {attribute.type} and cannot be compared with {shown(text)}"
            f" (at character {token.position} of the filter)."
        )
    return value


def _unquoted(token: _Token) -> str:
    try:
        text: str = orjson.loads(token.text)
    except orjson.JSONDecodeError:
        raise invalid_filter(
            f"The string {shown(token.text)} at character {token.position} of the filter is not"
            ' a JSON string; write quotes within it as \\" and backslashes as \\\\.'
        ) from None
    if fault := values.text_fault(text):
        raise invalid_filter(f"The string at character {token.position} of the filter {fault}.")
    return text


def _number(attribute: Attribute, text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return values.integer(text) if attribute.type is Type.INTEGER else values.decimal(text)


def to_text(tree: Filter) -> str:
    """The filter as a text that parses to the same tree."""
    return _text(tree, None)


def _text(tree: Filter, element: AttributePath | None) -> str:
    match tree:
        case And(operands):
            return " and ".join(_operand(each, element) for each in operands)
        case Or(operands):
            return " or ".join(_operand(each, element) for each in operands)
        case Not(operand):
            return f"not ({_text(operand, element)})"
        case ElementMatch(path, inner):
            return f"{path.text}[{_text(inner, path)}]"
        case Present(path):
            return f"{_name(path, element)} pr"
        case Compare(path, operator, value):
            return f"{_name(path, element)} {operator} {_literal_text(value)}"


def _operand(tree: Filter, element: AttributePath | None) -> str:
    text = _text(tree, element)
    return f"({text})" if isinstance(tree, And | Or) else text


def _name(path: AttributePath, element: AttributePath | None) -> str:
    if element is None:
        return path.text
    return path.sub_attribute.name if path.sub_attribute else "value"


def _literal_text(value: Value) -> str:
    return orjson.dumps(value.isoformat() if isinstance(value, datetime) else value).decode()


def matches(tree: Filter, resource: Mapping[str, Any]) -> bool:  # noqa: PLR0911
    """Whether a canonical resource satisfies a filter."""
    match tree:
        case And(operands):
            return all(matches(each, resource) for each in operands)
        case Or(operands):
            return any(matches(each, resource) for each in operands)
        case Not(operand):
            return not matches(operand, resource)
        case ElementMatch(path, inner):
            return any(element_matches(inner, each) for each in _elements(path, resource))
        case Present(path):
            return bool(_values(path, resource))
        case Compare(path, operator, value):
            found = _values(path, resource)
            if operator is Operator.NE and not path.attribute.multi_valued:
                return not any(_satisfies(path.target, Operator.EQ, value, each) for each in found)
            return any(_satisfies(path.target, operator, value, each) for each in found)


def element_matches(tree: Filter, element: Json) -> bool:  # noqa: PLR0911
    """Whether one element of a multi-valued attribute satisfies the filter of a value path."""
    match tree:
        case And(operands):
            return all(element_matches(each, element) for each in operands)
        case Or(operands):
            return any(element_matches(each, element) for each in operands)
        case Not(operand):
            return not element_matches(operand, element)
        case Present(path):
            return _of_element(path, element) is not None
        case Compare(path, operator, value):
            found = _of_element(path, element)
            if found is None:
                return operator is Operator.NE
            return _satisfies(path.target, operator, value, found)
        case ElementMatch():
            return False  # the grammar has none within brackets


def _elements(path: AttributePath, resource: Mapping[str, Any]) -> list[Any]:
    holder = resource.get(path.extension) if path.extension else resource
    found = holder.get(path.attribute.name) if holder else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _values(path: AttributePath, resource: Mapping[str, Any]) -> list[Any]:
    elements = _elements(path, resource)
    if path.sub_attribute is None:
        return elements
    return [v for v in (_of_element(path, each) for each in elements) if v is not None]


def _of_element(path: AttributePath, element: Json) -> Json:
    return element.get(path.sub_attribute.name) if path.sub_attribute else element


def _satisfies(attribute: Attribute, operator: Operator, wanted: Value, found: Json) -> bool:
    if isinstance(wanted, datetime):
        found = values.date_time(found)
        return found is not None and _compare(operator, found, wanted)
    return _compare(operator, values.folded(attribute, found), values.folded(attribute, wanted))


def _compare(operator: Operator, found: Json, wanted: Json) -> bool:  # noqa: PLR0911
    match operator:
        case Operator.EQ:
            return bool(found == wanted)
        case Operator.NE:
            return bool(found != wanted)
        case Operator.CO:
            return wanted in found
        case Operator.SW:
            return bool(found.startswith(wanted))
        case Operator.EW:
            return bool(found.endswith(wanted))
        case Operator.GT:
            return bool(found > wanted)
        case Operator.GE:
            return bool(found >= wanted)
        case Operator.LT:
            return bool(found < wanted)
        case Operator.LE:
            return bool(found <= wanted)
