"""The provisioning log as its pages show it."""
