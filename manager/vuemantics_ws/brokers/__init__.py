"""What carries events between processes and keeps the newest of each upload: a module a broker, and what one is in `base`."""
