"""Organizations, their integrations, and the API keys that open these.

Knows its own domain and SQL, and nothing of the protocol that the keys are for.
"""
