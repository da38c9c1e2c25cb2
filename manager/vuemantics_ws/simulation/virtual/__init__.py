"""The virtual arm: the production gateway, its brokers and simulated browsers in one process, in virtual time."""
