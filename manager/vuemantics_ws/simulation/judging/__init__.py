"""Judges what happened: the laws, the rules beside them, and what a file expects."""
