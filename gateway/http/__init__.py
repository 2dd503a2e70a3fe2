"""The HTTP server, and what all requests share: connections, heads, bodies, telemetry."""
