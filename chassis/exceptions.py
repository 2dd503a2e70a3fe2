"""Copies of exceptions, so that each of several callers raises its own."""

from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)


def copy_exception(error: Error) -> Error:
    """A new exception with the same type, arguments, attributes, cause and traceback.

    Python adds the frames of each caller to the traceback of a raised exception. If one exception
    object is raised for several callers, its traceback grows with each of them and keeps the local
    variables of all their frames alive. Each copy has a traceback of its own.
    """
    copied = type(error).__new__(type(error), *error.args)
    copied.__dict__.update(error.__dict__)
    copied.__cause__ = error.__cause__
    return copied.with_traceback(error.__traceback__)
