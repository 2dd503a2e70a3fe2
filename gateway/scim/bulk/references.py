"""References to resources that the same bulk request creates (RFC 7644 section 3.7.2).

`bulkId:qwerty` stands for the id of the resource that the POST with that bulkId creates. It may
be a value anywhere in data, the end of a `$ref`, a value in the filter of a PATCH path, or the id
in the path of an operation.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_PREFIX: Final = "bulkId:"
_IN_PATH: Final = re.compile(r"(/[^/]+/)bulkId:([^/]+)(/*)")
_IN_TEXT: Final = re.compile(r'(?<=[/"])bulkId:([^/"]+)')
# Only these may contain a reference within a longer text. Any other value must consist of the
# reference alone, because a `displayName` may contain "/bulkId:" by chance.
_TEXTUAL: Final = frozenset({"$ref", "path"})


def in_path(path: str) -> Iterator[str]:
    """The bulkId that a path contains in place of an id, if any."""
    match = _IN_PATH.fullmatch(path)
    if match is not None:
        yield match[2]


def in_data(data: object) -> set[str]:
    """The bulkIds that a document refers to."""
    found: set[str] = set()

    def collect(bulk_id: str) -> str:
        found.add(bulk_id)
        return bulk_id

    _replaced(data, collect, "")
    return found


def resolve_path(path: str, ids: Mapping[str, str]) -> str:
    """The path with its reference replaced by the id."""
    match = _IN_PATH.fullmatch(path)
    return path if match is None else f"{match[1]}{ids[match[2]]}{match[3]}"


def resolve(data: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The document with all references replaced by ids."""
    return {key: _replaced(value, ids.__getitem__, key) for key, value in data.items()}


def members_referring_to(data: Mapping[str, Any], missing: frozenset[str]) -> frozenset[str]:
    """The top-level members of a document that refer to one of the missing bulkIds."""
    return frozenset(key for key, value in data.items() if in_member(key, value) & missing)


def in_member(key: str, value: object) -> set[str]:
    """The bulkIds that one member of a document refers to."""
    return in_data({key: value})


def _replaced(value: object, replace: Callable[[str], str], key: str) -> Any:  # noqa: ANN401
    # `resource.loads` limits the depth of documents, and so of this recursion.
    if isinstance(value, str):
        return _replaced_text(value, replace, key)
    if isinstance(value, list):
        return [_replaced(each, replace, key) for each in value]
    if isinstance(value, dict):
        return {name: _replaced(each, replace, name) for name, each in value.items()}
    return value


def _replaced_text(text: str, replace: Callable[[str], str], key: str) -> str:
    if _PREFIX not in text:
        return text
    if text.startswith(_PREFIX) and len(text) > len(_PREFIX):
        return replace(text[len(_PREFIX) :])
    if key.lower() in _TEXTUAL:
        return _IN_TEXT.sub(lambda match: replace(match[1]), text)
    return text
