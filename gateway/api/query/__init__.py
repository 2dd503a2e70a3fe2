"""Queries: search, sorting and cursors (RFC 7644 section 3.4.2, RFC 9865)."""
