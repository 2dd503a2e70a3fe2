"""A PostgreSQL connection pool and schema migrations."""
