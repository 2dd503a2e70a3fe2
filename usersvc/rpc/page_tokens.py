"""Page tokens: the position of a query's next page.

A token is opaque to callers, but not secret. It contains the position of the last item and is valid
only for the organization, filter and order of its query.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from math import isfinite
from uuid import UUID

from chassis.errors import INVALID_PAGE_TOKEN, Refusal
from usersvc.domain.filters import OrderKey, Position
from usersvc.store.listing.fields import Kind


def digest(*parts: bytes) -> str:
    """The digest that identifies a query in its page tokens."""
    hasher = blake2b(digest_size=12)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.hexdigest()


def encode(query: str, position: Position) -> str:
    """The token for the page after a position of a query."""
    key = position.key
    if isinstance(key, datetime):
        key = key.isoformat()
    elif isinstance(key, UUID):  # sorted by id: the key is the id itself
        key = None
    text = json.dumps([query, str(position.id), key], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).decode()


def decode(token: str, query: str, kind: Kind) -> Position:
    """The position in a token. Refuses (INVALID_PAGE_TOKEN) another query's token."""
    with _refuse_malformed():
        token_query, last_id, key = json.loads(urlsafe_b64decode(token.encode("ascii")))
        if token_query != query:
            raise ValueError(token_query)
        return Position(_key(key, kind), UUID(last_id))


def encode_number(query: str, number: int) -> str:
    """The token for the page after a log entry."""
    return urlsafe_b64encode(json.dumps([query, number], separators=(",", ":")).encode()).decode()


def decode_number(token: str, query: str) -> int:
    """The number of the log entry in a token. Refuses as `decode` does.

    The tokens of releases that ordered the log by time are refused, too.
    """
    with _refuse_malformed():
        token_query, number = json.loads(urlsafe_b64decode(token.encode("ascii")))
        if token_query != query or type(number) is not int or not 0 <= number < 2**63:
            raise ValueError(token_query)
        return number


@contextmanager
def _refuse_malformed() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, AttributeError, RecursionError, BinasciiError) as error:
        raise Refusal(
            INVALID_PAGE_TOKEN,
            "The page token is invalid or belongs to another query. Start from the first page.",
        ) from error


def _key(key: object, kind: Kind) -> OrderKey:
    match kind, key:
        case _, None:
            return None
        case Kind.TIME, str(text):
            time = datetime.fromisoformat(text)
            if time.tzinfo is None:
                raise ValueError(text)
            return time
        case Kind.BOOLEAN, bool(value):
            return value
        case Kind.INTEGER, int(value) if -(2**63) <= value < 2**63:
            return value
        case Kind.DECIMAL, float(value) if isfinite(value):
            return value
        case ((Kind.TEXT | Kind.EXACT_TEXT), str(text)) if "\0" not in text:
            text.encode()  # raises UnicodeEncodeError for a lone surrogate
            return text
        case _:
            raise ValueError(key)
