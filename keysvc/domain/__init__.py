"""Organizations, integrations, keys and SSO connections: values and rules."""
