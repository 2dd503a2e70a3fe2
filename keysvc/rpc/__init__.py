"""The gRPC servicers, conversion, page tokens and the authorized callers."""
