"""The tables of users: reads, writes and deletion."""
