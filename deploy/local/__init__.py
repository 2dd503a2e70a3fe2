"""The embedded run: PostgreSQL from a wheel and the three processes of one region, supervised."""
