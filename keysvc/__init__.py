"""The key service: organizations, their integrations, API keys, single sign-on, the audit trail.

It knows its domain and SQL, and nothing of the gateway's protocols.
"""
