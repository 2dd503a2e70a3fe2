"""Values and rules of organizations, integrations, keys, SSO connections and the audit trail."""
