"""The commands that are about keys alone. Each takes its words, of which the first is its name."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vuemantics_ws.simulation.resp.channels import compiled
from vuemantics_ws.simulation.resp.keyspace import Hash, Keyspace, SortedSet
from vuemantics_ws.simulation.resp.replies import OK, ErrorReply, Reply, Simple, integer

Words = Sequence[bytes]


class KeyCommand(NamedTuple):
    """``words`` is how many it takes, as COMMAND tells it: at least so many where it is negative."""

    run: Callable[[Keyspace, Words], Reply]
    words: int


def _get(keyspace: Keyspace, words: Words) -> Reply:
    return keyspace.string(words[1])


def _set(keyspace: Keyspace, words: Words) -> Reply:
    """With EX, PX, NX, XX, GET and KEEPTTL."""
    _, key, value, *options = words
    former: Reply = OK
    lives_ms, only_if, keeps = None, None, False
    remaining = iter(option.upper() for option in options)
    for option in remaining:
        if option in (b"EX", b"PX"):
            if (lives := next(remaining, None)) is None:
                raise ErrorReply("ERR syntax error")
            lives_ms = integer(lives) * (1000 if option == b"EX" else 1)
            if lives_ms <= 0:
                raise ErrorReply("ERR invalid expire time in 'set' command")
        elif option in (b"NX", b"XX"):
            only_if = option == b"XX"
        elif option == b"GET":
            former = keyspace.string(key)
        elif option == b"KEEPTTL":
            keeps = True
        else:
            raise ErrorReply("ERR syntax error")
    if only_if is not None and (key in keyspace) is not only_if:
        return None if former is OK else former
    keyspace.put(key, value)
    if not keeps:
        keyspace.expire(key, lives_ms)
    return former


def _delete(keyspace: Keyspace, words: Words) -> Reply:
    return sum(keyspace.delete(key) for key in words[1:])


def _exists(keyspace: Keyspace, words: Words) -> Reply:
    return sum(key in keyspace for key in words[1:])


def _type(keyspace: Keyspace, words: Words) -> Reply:
    value = keyspace.get(words[1])
    if value is None:
        return Simple(b"none")
    return Simple(b"zset" if isinstance(value, SortedSet) else b"hash" if isinstance(value, dict) else b"string")


def _keys(keyspace: Keyspace, words: Words) -> Reply:
    matches = compiled(words[1]).fullmatch
    return [name for name in keyspace.names() if matches(name)]


def _expire(keyspace: Keyspace, words: Words) -> Reply:
    return int(keyspace.expire(words[1], integer(words[2]) * 1000))


def _expire_ms(keyspace: Keyspace, words: Words) -> Reply:
    return int(keyspace.expire(words[1], integer(words[2])))


def _lives(keyspace: Keyspace, words: Words) -> Reply:
    in_ms = keyspace.expires_in_ms(words[1])
    return in_ms if in_ms < 0 else (in_ms + 500) // 1000


def _lives_ms(keyspace: Keyspace, words: Words) -> Reply:
    return keyspace.expires_in_ms(words[1])


def _hash_set(keyspace: Keyspace, words: Words) -> Reply:
    if len(words) % 2:
        raise wrong_number(words[0])
    former = keyspace.hash(words[1])
    changed: Hash = {**former, **dict(zip(words[2::2], words[3::2], strict=True))}
    keyspace.put(words[1], changed)
    return len(changed) - len(former)


def _hash_get(keyspace: Keyspace, words: Words) -> Reply:
    return keyspace.hash(words[1]).get(words[2])


def _hash_get_several(keyspace: Keyspace, words: Words) -> Reply:
    found = keyspace.hash(words[1])
    return [found.get(field) for field in words[2:]]


def _hash_get_all(keyspace: Keyspace, words: Words) -> Reply:
    return [part for pair in keyspace.hash(words[1]).items() for part in pair]


def _hash_delete(keyspace: Keyspace, words: Words) -> Reply:
    former, gone = keyspace.hash(words[1]), words[2:]
    changed = {field: value for field, value in former.items() if field not in gone}
    if len(changed) < len(former):
        keyspace.put(words[1], changed)
    return len(former) - len(changed)


def _hash_length(keyspace: Keyspace, words: Words) -> Reply:
    return len(keyspace.hash(words[1]))


def _sorted_set_length(keyspace: Keyspace, words: Words) -> Reply:
    return len(keyspace.sorted_set(words[1]))


def _sorted_set_range(keyspace: Keyspace, words: Words) -> Reply:
    """By rank, from the lowest score to the highest, with or without WITHSCORES."""
    members = list(keyspace.sorted_set(words[1]).items())
    first, last = (at + len(members) if at < 0 else at for at in map(integer, words[2:4]))
    found = members[max(0, first) : max(0, last + 1)]
    if not words[4:]:
        return [member for member, _ in found]
    if [word.upper() for word in words[4:]] != [b"WITHSCORES"]:
        raise ErrorReply("ERR syntax error")
    return [part for member, score in found for part in (member, b"%d" % score)]


KEY_COMMANDS = {
    b"GET": KeyCommand(_get, 2),
    b"SET": KeyCommand(_set, -3),
    b"DEL": KeyCommand(_delete, -2),
    b"EXISTS": KeyCommand(_exists, -2),
    b"TYPE": KeyCommand(_type, 2),
    b"KEYS": KeyCommand(_keys, 2),
    b"EXPIRE": KeyCommand(_expire, 3),
    b"PEXPIRE": KeyCommand(_expire_ms, 3),
    b"TTL": KeyCommand(_lives, 2),
    b"PTTL": KeyCommand(_lives_ms, 2),
    b"HSET": KeyCommand(_hash_set, -4),
    b"HGET": KeyCommand(_hash_get, 3),
    b"HMGET": KeyCommand(_hash_get_several, -3),
    b"HGETALL": KeyCommand(_hash_get_all, 2),
    b"HDEL": KeyCommand(_hash_delete, -3),
    b"HLEN": KeyCommand(_hash_length, 2),
    b"ZCARD": KeyCommand(_sorted_set_length, 2),
    b"ZRANGE": KeyCommand(_sorted_set_range, -4),
}


def wrong_number(name: bytes) -> ErrorReply:
    """What is answered to a command of fewer or more words than it takes."""
    return ErrorReply(f"ERR wrong number of arguments for '{name.decode(errors='replace').lower()}' command")
