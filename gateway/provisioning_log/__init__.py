"""Refused requests, recorded for an organization's administrators."""
