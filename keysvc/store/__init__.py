"""The SQL of each table, beside its call."""
