"""gRPC servers and channels: interceptor, deadlines, certificates, limits, health."""
