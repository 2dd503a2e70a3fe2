"""Conversion between extensions and their column: one JSON object, NULL for no extensions."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from usersvc.domain.extensions import Extensions, Value

# From this number on, the shortest decimal form of a float has an exponent.
_LARGE: Final = 1e16


def column(extensions: Extensions) -> str | None:
    """Extensions as the value of the column."""
    if not extensions:
        return None
    return orjson.dumps(
        {
            urn: {name: _json(value) for name, value in extension.items()}
            for urn, extension in extensions.items()
        }
    ).decode()


def _json(value: Value) -> Any:  # noqa: ANN401 - JSON
    match value:
        case tuple():
            return [_json(each) for each in value]
        case Mapping():
            return {name: _json(part) for name, part in value.items()}
        case float() if abs(value) >= _LARGE:
            # jsonb writes 1e16 as 10000000000000000. The fraction keeps it a decimal number.
            return orjson.Fragment(f"{value:.1f}")
        case _:
            return value


def extensions(text: str | None) -> Extensions:
    """The extensions in a value of the column."""
    if not text:
        return {}
    return {
        urn: {name: _value(value) for name, value in extension.items()}
        for urn, extension in orjson.loads(text).items()
    }


def _value(json: Any) -> Value:  # noqa: ANN401
    return tuple(json) if isinstance(json, list) else json
