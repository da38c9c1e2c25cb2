"""A broker for virtual time: one state in the middle, and nodes that are told of it late, twice, or not at all."""
