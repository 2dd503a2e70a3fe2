"""The people of organizations: their values, their rules and their tables."""
