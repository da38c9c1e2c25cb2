"""A plan, played against a system of either arm: its tabs, its workers and its faults, all of it written down."""
