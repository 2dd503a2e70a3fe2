"""Organizations, their integrations, and the API keys that open these.

Knows its own domain and SQL; nothing of SCIM or HTTP.
"""
