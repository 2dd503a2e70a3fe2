"""The stores: the SQL of each table, next to its call."""
