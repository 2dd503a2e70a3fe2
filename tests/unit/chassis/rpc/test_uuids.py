"""Parsing of UUIDs in requests."""

from uuid import UUID

import pytest

from chassis.errors import InvalidField
from chassis.rpc.uuids import is_uuid, read_uuid

ID = UUID("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11")
OTHER_FORMS = [
    *("", "1", ID.hex, f"{{{ID}}}", ID.urn, f" {ID}", f"{ID}\n", "é" * 36, "x" * 1_000_000),
    str(ID).replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
]


@pytest.mark.parametrize("text", [str(ID), str(ID).upper()])
def test_uuid_is_read_in_either_case(text: str):
    assert is_uuid(text)
    assert read_uuid("id", text) == ID


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_uuid_of_another_form_is_refused_with_its_field(text: str):
    assert not is_uuid(text)
    with pytest.raises(InvalidField) as caught:
        read_uuid("id", text)
    assert caught.value.metadata == {"field": "id"}
    assert len(caught.value.detail) < 200
