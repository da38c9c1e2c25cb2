"""The scripts of the Redis broker once more, each in the file of its own name: what they do there, they do here.

The judge is that of core; that the one in Lua agrees with it is a promise of the broker's own.
"""
