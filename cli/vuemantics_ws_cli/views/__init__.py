"""What people read: pure functions from data to something that rich can draw, with the time passed in."""
