"""What speaks to a server: the subscriber to its public port, the control client to its control port."""
