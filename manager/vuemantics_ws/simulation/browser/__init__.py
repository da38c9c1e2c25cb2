"""A simulated browser tab, and the network between it and the server."""
