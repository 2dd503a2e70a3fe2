"""Looks up the TXT records that prove e-mail domains, because keysvc sends no requests outside."""
