"""Every refusal that a service may send has its answer at the edge, and tells what it can."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloudacademy.errors.v1 import errors_pb2

import keysvc.domain.errors
import usersvc.domain.errors
from chassis.errors import Code, Refusal
from gateway.backend.errors import ANSWERS

CONTRACT = Path(__file__).parents[2] / "protos/cloudacademy/errors/v1/errors.proto"
SERVICES = (usersvc.domain.errors, keysvc.domain.errors)


def kinds(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """All refusals of the chassis and of the services, which were imported for that."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def an_example(kind: type[Refusal]) -> Refusal:
    return kind(*["x" for _ in inspect.signature(kind).parameters])


def test_each_reason_has_its_row_and_no_row_is_without_a_reason():
    reasons = {name.removeprefix("REASON_") for name, _ in errors_pb2.Reason.items()}
    assert ANSWERS.keys() == reasons - {"UNSPECIFIED"}


def test_each_refusal_has_the_code_that_the_contract_says():
    told = re.findall(r"// ([A-Z_]+): (?:.+\n(?:  //.+\n)*)  REASON_(\w+) =", CONTRACT.read_text())
    codes = {reason: code for code, reason in told}
    found = {kind.reason: kind.code.value for kind in kinds()}
    assert found == {reason: codes[reason] for reason in found}


@pytest.mark.parametrize(
    "kind", [kind for kind in kinds() if kind.code is Code.INVALID_ARGUMENT], ids=lambda k: k.reason
)
def test_an_invalid_argument_names_its_field(kind: type[Refusal]):
    assert [bool(each.field and each.description) for each in an_example(kind).violations] == [True]


@pytest.mark.parametrize(
    "kind",
    [kind for kind in kinds() if kind.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)],
    ids=lambda k: k.reason,
)
def test_what_passes_by_itself_says_when_to_come_again(kind: type[Refusal]):
    assert an_example(kind).retry_after_seconds
