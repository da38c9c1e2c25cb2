"""What Redis answers, and how that is written in RESP 2."""


class Simple(bytes):
    """A simple string, as ``OK`` is one."""


class Several(list["Reply"]):
    """Replies one after another, as each channel of a SUBSCRIBE gets one."""


class ErrorReply(Exception):
    """What Redis answers where it does not do what it was told. The first word is its kind."""


Reply = bytes | int | None | Simple | ErrorReply | Several | list["Reply"]

OK = Simple(b"OK")


def encode(reply: Reply) -> bytes:
    if type(reply) is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if type(reply) is int:
        return b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n"
    if type(reply) is list:
        return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
    if isinstance(reply, Simple):
        return b"+%b\r\n" % reply
    if isinstance(reply, Several):
        return b"".join(map(encode, reply))
    return b"-%b\r\n" % str(reply).encode(errors="replace")


def integer(word: bytes) -> int:
    """A number as Redis reads one.

    Raises:
        ErrorReply: it is none.
    """
    try:
        number = int(word)
    except ValueError:
        number = -(2**64)
    if not -(2**63) <= number < 2**63:
        raise ErrorReply("ERR value is not an integer or out of range")
    return number
