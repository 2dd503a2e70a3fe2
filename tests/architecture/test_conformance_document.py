"""docs/conformance.md covers every section of the RFCs and links only to existing tests."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.documents import TEST_LINK, named_tests

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "conformance.md"

# The normative sections in the tables of contents of the three RFCs.
SECTIONS = {
    "7643": """
        2 SCIM Schema
        2.1 Attributes
        2.2 Attribute Characteristics
        2.3 Attribute Data Types
        2.3.1 String
        2.3.2 Boolean
        2.3.3 Decimal
        2.3.4 Integer
        2.3.5 DateTime
        2.3.6 Binary
        2.3.7 Reference
        2.3.8 Complex
        2.4 Multi-Valued Attributes
        2.5 Unassigned and Null Values
        3 SCIM Resources
        3.1 Common Attributes
        3.2 Defining New Resource Types
        3.3 Attribute Extensions to Resources
        4 SCIM Core Resources and Extensions
        4.1 "User" Resource Schema
        4.1.1 Singular Attributes
        4.1.2 Multi-Valued Attributes
        4.2 "Group" Resource Schema
        4.3 Enterprise User Schema Extension
        5 Service Provider Configuration Schema
        6 ResourceType Schema
        7 Schema Definition
        8 JSON Representation
        8.1 Minimal User Representation
        8.2 Full User Representation
        8.3 Enterprise User Extension Representation
        8.4 Group Representation
        8.5 Service Provider Configuration Representation
        8.6 Resource Type Representation
        8.7 Schema Representation
        8.7.1 Resource Schema Representation
        8.7.2 Service Provider Schema Representation
        9 Security Considerations
        9.1 Protocol
        9.2 Passwords and Other Sensitive Security Data
        9.3 Privacy
    """,
    "7644": """
        2 Authentication and Authorization
        2.1 Use of Tokens as Authorizations
        2.2 Anonymous Requests
        3 SCIM Protocol
        3.1 Background
        3.2 SCIM Endpoints and HTTP Methods
        3.3 Creating Resources
        3.3.1 Resource Types
        3.4 Retrieving Resources
        3.4.1 Retrieving a Known Resource
        3.4.2 Query Resources
        3.4.2.1 Query Endpoints
        3.4.2.2 Filtering
        3.4.2.3 Sorting
        3.4.2.4 Pagination
        3.4.2.5 Attributes
        3.4.3 Querying Resources Using HTTP POST
        3.5 Modifying Resources
        3.5.1 Replacing with PUT
        3.5.2 Modifying with PATCH
        3.5.2.1 Add Operation
        3.5.2.2 Remove Operation
        3.5.2.3 Replace Operation
        3.6 Deleting Resources
        3.7 Bulk Operations
        3.7.1 Circular Reference Processing
        3.7.2 "bulkId" Temporary Identifiers
        3.7.3 Response and Error Handling
        3.7.4 Maximum Operations
        3.8 Data Input/Output Formats
        3.9 Additional Operation Response Parameters
        3.10 Attribute Notation
        3.11 "/Me" Authenticated Subject Alias
        3.12 HTTP Status and Error Response Handling
        3.13 SCIM Protocol Versioning
        3.14 Versioning Resources
        4 Service Provider Configuration Endpoints
        5 Preparing and Comparing Internationalized Strings
        6 Multi-Tenancy
        6.1 Associating Clients to Tenants
        6.2 SCIM Identifiers with Multiple Tenants
        7 Security Considerations
        7.1 HTTP Considerations
        7.2 TLS Support Considerations
        7.3 Authorization Token Considerations
        7.4 Bearer Token and Cookie Considerations
        7.5 Privacy Considerations
        7.5.1 Personal Information
        7.5.2 Disclosure of Sensitive Information in URIs
        7.6 Anonymous Requests
        7.7 Secure Storage and Handling of Sensitive Data
        7.8 Case-Insensitive Comparison and International Languages
    """,
    "9865": """
        2 Query Parameters and Response Attributes
        2.1 Pagination Errors
        2.2 Sorting
        2.3 Implementing Cursors as the Only Pagination Method
        2.4 Implementing Both Cursors and Index Pagination
        3 Querying Resources Using HTTP POST
        4 Service Provider Configuration
        5 Security Considerations
        5.1 Threat Model and Security Environment
        5.2 Confidentiality
        5.3 Availability
        5.4 Other Security References
    """,
}

ROW = re.compile(r"\| \[([\d.]+)\]\((\S+)\) (.+?) \| (.+?) \| (.+) \|")


class Row(NamedTuple):
    number: str
    address: str
    title: str
    text: str
    tests: str


def tables() -> dict[str, list[Row]]:
    parts = re.split(r"^## RFC (\d+).*$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {
        rfc: [Row(*row) for row in ROW.findall(table)]
        for rfc, table in zip(parts[1::2], parts[2::2], strict=True)
    }


def linked_tests() -> list[tuple[str, str, str]]:
    return sorted(set(TEST_LINK.findall(DOCUMENT.read_text())))


def test_every_section_has_a_row_and_every_row_a_test():
    expected = {
        rfc: [tuple(line.strip().split(" ", 1)) for line in lines.strip().splitlines()]
        for rfc, lines in SECTIONS.items()
    }
    found = tables()
    titles = {rfc: [(row.number, row.title) for row in rows] for rfc, rows in found.items()}
    assert titles == expected
    for rfc, table in found.items():
        for row in table:
            assert row.address == f"https://www.rfc-editor.org/rfc/rfc{rfc}#section-{row.number}"
            assert row.tests == "<br>".join(match[0] for match in TEST_LINK.finditer(row.tests))


@pytest.mark.parametrize(("file", "name", "target"), linked_tests())
def test_every_linked_test_exists(file: str, name: str, target: str):
    path = (DOCUMENT.parent / target).resolve()
    assert (path.name, name in named_tests(path)) == (file, True)
