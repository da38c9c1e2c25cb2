"""A scenario with its dice thrown."""
