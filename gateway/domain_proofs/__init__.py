"""Looks up the TXT records that prove e-mail domains; keysvc makes no outgoing requests."""
