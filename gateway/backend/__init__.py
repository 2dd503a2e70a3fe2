"""Clients of usersvc and keysvc."""
