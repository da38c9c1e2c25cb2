"""Where the master is: asked of the Sentinels at each connect, and then of the master itself."""

from typing import Any

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.link import Link
from vuemantics_ws.errors import BrokerAway


async def connect_to_master(address: RedisAddress) -> Link:
    """A connection to the master that the first Sentinel names which can be asked.

    A Sentinel may be behind in the midst of a failover: what it names must say of itself that it is a master.

    Raises:
        BrokerAway: no Sentinel answers or knows the master, or it cannot be reached.
    """
    link = await Link.open(address, await _master(address))
    role = await _ask(link, b"ROLE")
    if role is None or role[0] != b"master":
        link.drop("given up")
        raise BrokerAway(f"{link.name} is a replica that takes no writes")
    return link


async def _master(address: RedisAddress) -> Endpoint:
    asked: list[str] = []
    for sentinel in address.endpoints:
        try:
            link = await Link.open(address, sentinel, authenticate=False)
            found = await _ask(link, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", address.master or "")
        except BrokerAway as error:
            asked.append(error.message.replace("redis at", "sentinel at", 1))
            continue
        link.drop("done")
        if found is not None:
            return Endpoint(found[0].decode(), int(found[1]))
        asked.append(f"the sentinel at {sentinel.host}:{sentinel.port} knows no master {address.master!r}")
    raise BrokerAway("; ".join(asked))


async def _ask(link: Link, *command: bytes | str) -> list[Any] | None:
    """The connection is no more when this raises."""
    try:
        answer: list[Any] | None = await link.ask(*command)
    except BaseException:
        link.drop("given up")
        raise
    return answer
