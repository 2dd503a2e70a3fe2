"""Converts between SCIM values and protobuf messages; decides nothing."""
