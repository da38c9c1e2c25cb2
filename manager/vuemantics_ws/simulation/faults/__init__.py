"""What goes wrong around servers, on purpose: on the way to them, in their processes, and in Redis."""
