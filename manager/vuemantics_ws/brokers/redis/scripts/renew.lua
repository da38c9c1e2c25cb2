-- Keep the head for another time to live. ARGV: how long, in seconds. Returns 1, or 0 where there is none.

return renew(ARGV[1])
