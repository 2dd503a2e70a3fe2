"""The HTTP server and the parts that all requests share: connections, heads, bodies, telemetry."""
