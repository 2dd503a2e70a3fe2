"""The gRPC servicers and the authorization of their callers."""
