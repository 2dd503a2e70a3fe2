"""The processes of a local region: started, supervised, ended."""
