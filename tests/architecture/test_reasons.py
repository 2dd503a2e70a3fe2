"""Every refusal that a service may send has its answer at the edge."""

from cloudacademy.errors.v1 import errors_pb2

from gateway.errors import ANSWERS


def test_each_reason_has_its_row_and_no_row_is_without_a_reason():
    reasons = {name.removeprefix("REASON_") for name, _ in errors_pb2.Reason.items()}
    assert ANSWERS.keys() == reasons - {"UNSPECIFIED"}
