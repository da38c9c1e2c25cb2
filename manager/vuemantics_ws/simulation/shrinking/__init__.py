"""The smallest scenario that still fails in the way in which another one did."""
