"""SCIM errors (RFC 7644 section 3.12)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_ECHO_LENGTH: Final = 80
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class ScimError(Exception):
    """An error response: HTTP status, scimType, and a `detail` that the customer's admin reads.

    `headers` are response headers that belong to the status, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        scim_type: str | None,
        detail: str,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.scim_type = scim_type
        self.detail = detail
        self.headers = headers


def describe(value: object) -> str:
    """A client's value as `detail` shows it: one printable line, shortened, never a document."""
    match value:
        case str():
            return f'"{printable(value)}"'
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """A client's text as one printable line, shortened."""
    short = text if len(text) <= _ECHO_LENGTH else text[:_ECHO_LENGTH] + "…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in short)


def invalid_filter(detail: str) -> ScimError:
    return ScimError(400, "invalidFilter", detail)


def invalid_path(detail: str) -> ScimError:
    return ScimError(400, "invalidPath", detail)


def invalid_value(detail: str) -> ScimError:
    return ScimError(400, "invalidValue", detail)


def invalid_syntax(detail: str) -> ScimError:
    return ScimError(400, "invalidSyntax", detail)


def no_target(detail: str) -> ScimError:
    return ScimError(400, "noTarget", detail)


def mutability(detail: str) -> ScimError:
    return ScimError(400, "mutability", detail)


def too_many(detail: str) -> ScimError:
    return ScimError(400, "tooMany", detail)
