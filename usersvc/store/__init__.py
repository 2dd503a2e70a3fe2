"""The SQL statements of each table, next to the code that runs them."""
