"""Users, groups, sessions, changes: values and rules. Standard library only."""
