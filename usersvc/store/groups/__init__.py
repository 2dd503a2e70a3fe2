"""The tables of groups and their members: reads, writes and deletion."""
