"""The recursive-descent parser for filters and for the value paths of a PATCH."""

from typing import Final, NamedTuple, Protocol

from gateway.scim import values
from gateway.scim.errors import ScimError, describe, invalid_filter, invalid_path
from gateway.scim.filter.lexer import END, PUNCTUATION, STRING, WORD, Token, tokens
from gateway.scim.filter.literals import OPERATORS, literal, operators_of
from gateway.scim.filter.tree import And, Compare, ElementMatch, Filter, Not, Operator, Or, Present
from gateway.scim.schema import AttributePath, ResourceType, Type, value_path

MAX_LENGTH: Final = 12_288
MAX_DEPTH: Final = 30
MAX_CONDITIONS: Final = 200
"""The limit of comparisons and `pr`. MAX_LENGTH has space for 200 of `externalId eq "a UUID"`."""

_BY_NAME: Final = {each.value: each for each in Operator}
_PRESENT: Final = "pr"


class ValuePath(NamedTuple):
    """`attribute[filter]` or `attribute[filter].sub`: the value path of a PATCH."""

    target: AttributePath
    filter: Filter


class AttributeFinder(Protocol):
    """Finds the attributes that a filter names: a resource type, or several."""

    @property
    def name(self) -> str:
        """The name for messages."""

    def find(self, text: str) -> AttributePath | None:
        """Find an attribute by its name."""


def parse(resource_type: AttributeFinder, text: str) -> Filter:
    """Parse a filter; refuses an invalid one (invalidFilter, with the position of the error)."""
    parser = _Parser(resource_type, text)
    tree = parser.disjunction()
    parser.finish()
    return tree


def parse_value_path(resource_type: ResourceType, text: str) -> ValuePath:
    """Parse the value path of a PATCH operation (RFC 7644 section 3.5.2, figure 7)."""
    return _Parser(resource_type, text).value_path()


class _Parser:
    __slots__ = (
        "_conditions",
        "_depth",
        "_element",
        "_index",
        "_resource_type",
        "_text",
        "_tokens",
    )

    def __init__(self, resource_type: AttributeFinder, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise invalid_filter(
                f"The filter is {len(text)} characters long; send at most {MAX_LENGTH}."
            )
        if fault := values.text_fault(text):
            raise invalid_filter(f"The filter {fault}.")
        self._resource_type = resource_type
        self._text = text
        self._tokens = tokens(text)
        self._index = 0
        self._depth = 0
        self._conditions = 0
        self._element: AttributePath | None = None  # set while within its brackets

    def disjunction(self) -> Filter:
        operands = [self._conjunction()]
        while self._take_word("or"):
            operands.append(self._conjunction())
        return Or(tuple(operands)) if len(operands) > 1 else operands[0]

    def value_path(self) -> ValuePath:
        path = self._attribute()
        element = self._brackets(path)
        try:
            suffix = self._suffix(path)
            self.finish()
        except ScimError:
            raise invalid_path(
                f"The text behind the brackets of {describe(self._text)} is no sub-attribute of"
                f" {path.text}; see /Schemas for the names."
            ) from None
        return ValuePath(suffix or path, element)

    def finish(self) -> None:
        token = self._peek()
        if token.kind != END:
            raise self._unexpected(token, '"and", "or" or the end')

    def _conjunction(self) -> Filter:
        operands = [self._term()]
        while self._take_word("and"):
            operands.append(self._term())
        return And(tuple(operands)) if len(operands) > 1 else operands[0]

    def _term(self) -> Filter:
        token = self._peek()
        if token.text == "(":
            return self._group()
        if token.kind == WORD and token.text.lower() == "not" and self._peek(1).text == "(":
            self._index += 1
            return Not(self._group())
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
            # emails[type eq "work"].value eq "x": one element satisfies both conditions.
            inner = self._attribute_expression(suffix or path, within=path)
            tree = _both(tree, inner)
        return ElementMatch(path, tree)

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
            raise invalid_filter(
                f"The brackets of {path.text} are within other brackets; remove them."
            )
        self._expect("[")
        self._element = path
        self._deeper()
        tree = self.disjunction()
        self._depth -= 1
        self._element = None
        self._expect("]")
        return tree

    def _suffix(self, path: AttributePath) -> AttributePath | None:
        """The sub-attribute directly after a closing bracket, such as `.value`."""
        token = self._peek()
        if token.kind != WORD or not token.text.startswith("."):
            return None
        self._index += 1
        return self._sub_path(path, token.text[1:], token)

    def _attribute(self) -> AttributePath:
        token = self._next()
        if token.kind != WORD:
            raise self._unexpected(token, "the name of an attribute")
        if token.text.lower() == "not":
            raise self._unexpected(token, "brackets around what it negates; write not (…)")
        if self._element is not None:
            return self._sub_path(self._element, token.text, token)
        path = self._resource_type.find(token.text)
        if path is None:
            raise invalid_filter(
                f"{self._resource_type.name} has no attribute {describe(token.text)}"
                f" (at character {token.position} of the filter)."
            )
        return path

    def _sub_path(self, path: AttributePath, name: str, token: Token) -> AttributePath:
        sub_attribute = path.attribute.sub_attributes.get(name.lower())
        if sub_attribute is not None:
            return AttributePath(path.extension, path.attribute, sub_attribute)
        if path.attribute.type is not Type.COMPLEX and name.lower() == "value":
            return path  # the values of a simple multi-valued attribute themselves
        raise invalid_filter(
            f"{path.text} has no sub-attribute {describe(name)}"
            f" (at character {token.position} of the filter)."
        )

    def _attribute_expression(
        self, path: AttributePath, *, within: AttributePath | None = None
    ) -> Filter:
        token = self._next()
        name = token.text.lower() if token.kind == WORD else ""
        if name == _PRESENT:
            return self._count(Present(value_path(path) if within is path else path))
        operator = _BY_NAME.get(name)
        if operator is None:
            raise self._unexpected(token, "an operator such as eq")
        return self._comparison(path, operator, self._next())

    def _comparison(self, path: AttributePath, operator: Operator, token: Token) -> Filter:
        if token.kind not in {STRING, WORD}:
            raise self._unexpected(token, "a value")
        if token.kind == WORD and token.text.lower() == "null":
            return self._null_comparison(path, operator)
        path = value_path(path)
        attribute = path.target
        if operator not in OPERATORS[attribute.type]:
            raise invalid_filter(
                f"The operator {operator} does not apply to {path.text}, which is of type"
                f" {attribute.type}; use {operators_of(attribute.type)}."
            )
        return self._count(Compare(path, operator, literal(path.text, attribute, token)))

    def _null_comparison(self, path: AttributePath, operator: Operator) -> Filter:
        present = self._count(Present(path))
        if operator is Operator.NE:
            return present
        if operator is Operator.EQ:
            self._deeper()  # printed, it becomes `not (… pr)`, one level deeper
            self._depth -= 1
            return Not(present)
        raise invalid_filter(f"{path.text} {operator} null has no meaning; use eq or ne.")

    def _at_operator(self) -> bool:
        token = self._peek()
        name = token.text.lower()
        return token.kind == WORD and (name in _BY_NAME or name == _PRESENT)

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token.kind != WORD or token.text.lower() != word:
            return False
        self._index += 1
        return True

    def _expect(self, punctuation: str) -> None:
        token = self._next()
        if token.kind != PUNCTUATION or token.text != punctuation:
            raise self._unexpected(token, f'"{punctuation}"')

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid_filter(f"The filter is nested more than {MAX_DEPTH} levels deep.")

    def _count(self, condition: Compare | Present) -> Compare | Present:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise invalid_filter(
                f"The filter has more than {MAX_CONDITIONS} conditions; split it into several"
                " requests."
            )
        return condition

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._peek()
        self._index += 1
        return token

    def _unexpected(self, token: Token, wanted: str) -> ScimError:
        if token.kind == END:
            return invalid_filter(f"The filter {describe(self._text)} ends; expected {wanted}.")
        return invalid_filter(
            f"The filter has {describe(token.text)} at character {token.position},"
            f" expected {wanted}."
        )


def _both(first: Filter, second: Filter) -> Filter:
    operands = first.operands if isinstance(first, And) else (first,)
    return And((*operands, second))
