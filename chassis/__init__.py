"""Code that all processes share: gRPC, databases, settings, logs, metrics, traces and tasks.

It knows nothing of the domains of the services.
"""
