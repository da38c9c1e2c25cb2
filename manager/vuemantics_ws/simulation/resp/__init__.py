"""A Redis in memory: it speaks RESP 2 over any transport, and answers the scripts of this project with the judge of core."""
