"""The broker around Redis: any number of processes that are one system (docs/redis.md)."""
