"""Hooks of schemathesis: strategies for the string formats of our OpenAPI document."""

import schemathesis

from tools.fuzz import strategies

FORMATS = {
    "scim-attribute": strategies.attribute_paths(),
    "scim-attributes": strategies.attribute_lists(),
    "scim-filter": strategies.filters(),
    "scim-path": strategies.patch_paths(),
    "scim-versions": strategies.entity_tags(),
    "scim-bulk-id": strategies.bulk_ids(),
    "scim-bulk-path": strategies.bulk_paths(),
}

for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
