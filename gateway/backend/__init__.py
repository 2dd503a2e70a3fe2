"""usersvc and keysvc as the gateway calls them."""
