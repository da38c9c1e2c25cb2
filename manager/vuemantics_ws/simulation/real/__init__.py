"""The real arm: processes, sockets, a Redis, and what passes between them."""
