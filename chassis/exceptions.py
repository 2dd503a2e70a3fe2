"""Copies of an exception, so that each of several callers raises its own."""

from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)


def copy_exception(error: Error) -> Error:
    """A new exception of the same type, arguments, attributes, cause and traceback so far.

    Python adds the frames of each caller to the traceback of the object that it raises. One
    object that is raised for several callers therefore grows with each of them, and keeps the
    local variables of all their frames alive. The traceback of a copy grows by itself.
    """
    copied = type(error).__new__(type(error), *error.args)
    copied.__dict__.update(error.__dict__)
    copied.__cause__ = error.__cause__
    return copied.with_traceback(error.__traceback__)
