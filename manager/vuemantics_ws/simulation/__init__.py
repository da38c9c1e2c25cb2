"""The laboratory: scenario files, the world that plays them, and the checkers that judge what happened."""
