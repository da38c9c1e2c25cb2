"""Which slot of a Redis Cluster a key or a channel lies in (Redis Cluster specification, "Key distribution model")."""

from binascii import crc_hqx

SLOTS = 16_384


def slot(name: bytes) -> int:
    """Of the hash tag where there is one, else of the whole name."""
    opening = name.find(b"{")
    if opening >= 0:
        closing = name.find(b"}", opening + 1)
        if closing > opening + 1:
            name = name[opening + 1 : closing]
    return crc_hqx(name, 0) % SLOTS
