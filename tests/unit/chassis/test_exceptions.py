"""Copies of exceptions are equal to the original and have their own traceback."""

import traceback

import asyncpg
import grpc
import pytest

from chassis.errors import DatabaseUnavailable, InvalidField
from chassis.exceptions import copy_exception

ERRORS = [
    InvalidField("user_name", "is empty"),
    DatabaseUnavailable(),
    KeyError("name"),
    TimeoutError(),
    asyncpg.UniqueViolationError("taken"),
    grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away"
    ),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_copy_has_the_type_text_attributes_and_cause(error: Exception):
    error.__cause__ = ValueError("why")
    copied = copy_exception(error)

    assert copied is not error
    assert (type(copied), str(copied), copied.args) == (type(error), str(error), error.args)
    assert vars(copied) == vars(error)
    assert copied.__cause__ is error.__cause__


def test_raising_copies_adds_nothing_to_the_original():
    with pytest.raises(KeyError) as raised:
        raise KeyError("name")
    error = raised.value
    before = len(traceback.extract_tb(error.__traceback__))
    for _ in range(5):
        with pytest.raises(KeyError):
            raise copy_exception(error)

    assert len(traceback.extract_tb(error.__traceback__)) == before
