"""Validation of OpenAPI documents."""

from typing import Any


def validate(document: Any) -> None:
    """Raise an error if a document does not follow the OpenAPI specification."""
    # The import takes a second, which every worker would spend while it collects the tests.
    from openapi_spec_validator import validate as validate_document  # noqa: PLC0415

    validate_document(document)
