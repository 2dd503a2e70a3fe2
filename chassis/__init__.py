"""What every process needs to start, be observed and stop.

A short, closed list of modules, each one noun. None of them knows what the
processes are for.
"""
