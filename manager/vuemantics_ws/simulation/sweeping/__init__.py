"""Many seeds of one scenario in virtual time, on all cores."""
