"""The region's signing keys and shared secrets, and their rotation."""
