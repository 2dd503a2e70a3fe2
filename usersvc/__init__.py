"""The users and groups of organizations: gRPC services, rules and tables."""
