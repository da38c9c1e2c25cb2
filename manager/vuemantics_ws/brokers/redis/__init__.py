"""The broker around Redis: any number of processes that are one system (SEMANTICS.md section 6)."""
