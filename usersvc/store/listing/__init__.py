"""Lists: fields, filters as SQL conditions, pages and counts."""
