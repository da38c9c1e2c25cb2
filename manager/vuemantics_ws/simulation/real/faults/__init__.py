"""What a run sets up so that it can go wrong on purpose: a Redis, and proxies that part whoever speaks."""
