"""The provisioning log: the changes of an organization and its refused requests."""
