"""What schemathesis loads: how to make texts of the formats that our description names."""

import schemathesis

from tools.fuzz import texts

FORMATS = {
    "scim-attribute": texts.attributes(),
    "scim-attributes": texts.attribute_lists(),
    "scim-filter": texts.filters(),
    "scim-path": texts.patch_paths(),
    "scim-versions": texts.versions(),
    "scim-bulk-id": texts.bulk_ids(),
    "scim-bulk-path": texts.bulk_paths(),
}

for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
