"""SCIM values to messages of the contract and back; no decisions."""
