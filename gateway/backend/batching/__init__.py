"""Many concurrent calls on one stream to a service."""
