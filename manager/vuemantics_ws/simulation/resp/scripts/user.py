"""``user.lua``: what one user follows, as all nodes share it. What its arguments and its answer mean stands there."""

from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call

BORN = b"\xff"
HOLDERS_MAX = 8


def user(call: Call) -> Reply:
    key, revision_key = call.keys
    channel, _, node, random_id, ttl_ms, follows_max, connected, known, present_count = call.arguments[:9]
    first_pair = 9 + int(present_count)
    is_connected = connected == b"1"

    former = call.keyspace.hash(key)
    stored = dict(former)
    born = stored.get(BORN, b"")
    holders = {upload: value for upload, value in stored.items() if upload != BORN}
    present = frozenset(call.arguments[9:first_pair])

    def others(value: bytes) -> tuple[list[bytes], list[bytes]]:
        """The others among the holders of an upload: all of them, and those who are present."""
        every = [node_id for node_id in value.split() if node_id != node]
        return every, [node_id for node_id in every if node_id in present]

    is_news, is_written, given_up = False, False, set[bytes]()
    revision = int(call.keyspace.string(revision_key) or b"0")
    if revision < int(known):
        if born:
            born = stored[BORN] = random_id
            is_news = is_written = True
        revision = int(known)
    pairs = call.arguments[first_pair:]
    for verb, upload in zip(pairs[::2], pairs[1::2], strict=True):
        value = holders.get(upload)
        if verb == b".":
            given_up.add(upload)
        elif verb == b"+":
            is_written = True
            if value is None and len(holders) < int(follows_max):
                holders[upload] = stored[upload] = b""
                is_news = True
        elif value is not None:
            _, here = others(value)
            if verb == b"x" or not here:
                del holders[upload], stored[upload]
                is_news = is_written = True

    for upload, value in holders.items():
        holds = is_connected and upload not in given_up
        if holds != (node in value):
            every, here = others(value)
            ids = every if len(every) < HOLDERS_MAX else here
            stored[upload] = b" ".join([*ids, node] if holds else ids)
            is_written = True

    if not born and holders:
        born = stored[BORN] = random_id
    if stored != former:
        call.keyspace.put(key, stored)
    if is_news:
        revision += 1
        call.keyspace.put(revision_key, b"%d" % revision)
        call.keyspace.expire(revision_key, int(ttl_ms))
    if is_connected or is_written:
        call.keyspace.expire(key, int(ttl_ms))
        call.keyspace.expire(revision_key, int(ttl_ms))
    if is_news:
        call.publish(channel, b"changed " + node)
    return [born, revision, *holders]
