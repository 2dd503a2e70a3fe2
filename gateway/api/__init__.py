"""The SCIM endpoints (RFC 7644)."""
