"""View models of the provisioning log."""
