"""The connections that commands travel on: to one server, to the master that Sentinels name, to the servers of a Redis Cluster.

A line sends commands to the server of a key and returns what came back, errors of Redis among it. Nothing is sent twice,
except what a server of a cluster refused because another has it.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.connections import (
    ResolvedConnection,
    ResolvedMasterConnection,
    ResolvedMasterSSLConnection,
    ResolvedSSLConnection,
)

Command = tuple[bytes | int | float | str, ...]

SENTINEL_TIMEOUT_S = 0.5
"""How long one Sentinel may take: there are others."""

REDIRECTIONS_MAX = 8
"""How often a command may be sent on before a cluster counts as unable to answer."""

TRY_AGAIN_S = 0.02

POOLED_MAX = 2**31
"""No limit: whoever sends has one, and a pool counts a connection whose return was cancelled as in use for ever."""


class Line(Protocol):
    async def send(self, key: bytes, commands: Sequence[Command]) -> list[Any]:
        """In one round trip, on one connection. What Redis refused has its error as its result.

        Being cancelled drops the connection, so that nobody gets an answer that is not theirs.
        """
        ...

    async def place_of(self, key: bytes) -> object:
        """Equal for keys that can be asked for together."""
        ...

    async def drop(self) -> None:
        """Give up the connections that nobody uses, so that the next command asks anew where its server is."""
        ...

    async def close(self) -> None: ...


def line_to(address: RedisAddress, *, timeout_s: float, connections_max: int) -> Line:
    """Connects when there is something to send. Whoever sends keeps to ``connections_max``."""
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "protocol": 2,  # all our answers are lists and numbers, and RESP2 needs no HELLO
        "driver_info": None,  # one command less, which an old server does not know and an ACL does not permit
        "socket_timeout": None,  # one deadline covers waiting, connecting and the answer
        "socket_connect_timeout": timeout_s,
    }
    secure: dict[str, Any] = {
        "ssl_ca_certs": address.ca,
        "ssl_cert_reqs": "required" if address.verify else "none",
        "ssl_check_hostname": address.verify,
    }
    if address.kind == "cluster":
        return _ClusterLine(address, {**options, **({"ssl": True, **secure} if address.tls else {})}, connections_max)
    options |= {"db": address.database, "retry": Retry(NoBackoff(), 0), "max_connections": POOLED_MAX}
    if address.kind == "sentinel":
        return _SentinelLine(address, options, secure)
    if address.path is not None:
        return _PoolLine(ConnectionPool(UnixDomainSocketConnection, path=address.path, **options))
    ((host, port),) = address.endpoints
    options |= {"host": host, "port": port, "socket_keepalive": True, **(secure if address.tls else {})}
    return _PoolLine(ConnectionPool(ResolvedSSLConnection if address.tls else ResolvedConnection, **options))


class _PoolLine:
    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def send(self, key: bytes, commands: Sequence[Command]) -> list[Any]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            return await _exchange(connection, commands)
        finally:
            await self._pool.release(connection)

    async def place_of(self, key: bytes) -> object:
        return None

    async def drop(self) -> None:
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._pool.aclose()


class _SentinelLine(_PoolLine):
    def __init__(self, address: RedisAddress, options: dict[str, Any], secure: dict[str, Any]) -> None:
        assert address.master is not None
        asking: dict[str, Any] = {
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            "protocol": 2,
        }
        asking |= {"retry": Retry(NoBackoff(), 0), **({"ssl": True, **secure} if address.tls else {})}
        self._sentinel = _Sentinels(list(address.endpoints), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        for sentinel in self._sentinel.sentinels:
            sentinel.connection_pool.connection_class = ResolvedSSLConnection if address.tls else ResolvedConnection
        kind = ResolvedMasterSSLConnection if address.tls else ResolvedMasterConnection
        options |= {"connection_class": kind, "socket_keepalive": True, **(secure if address.tls else {})}
        super().__init__(SentinelConnectionPool(address.master, self._sentinel, **options))  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        await super().close()
        for sentinel in self._sentinel.sentinels:
            await sentinel.aclose()


class _Sentinels(Sentinel):
    """Each connection asks in an order of its own.

    redis-py moves the Sentinel that answered to the front of the list that all others go through at the same time. So in a
    failover, when many ask at once and not the first one knows, some Sentinels were in it twice and others never again.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        asked = copy(self)
        asked.sentinels = list(self.sentinels)
        found: tuple[str, int] = await Sentinel.discover_master(asked, service_name)
        self.sentinels = asked.sentinels
        return found


class _ClusterLine:
    """redis-py knows which server has which slot; how a command follows when that changes is ours.

    Its own way sends ASKING and the command that it is for on two connections of a pool, and waits for a quarter of a second
    where a part of the cluster is down.
    """

    def __init__(self, address: RedisAddress, options: dict[str, Any], connections_max: int) -> None:
        self._address = address
        self._options = {**options, "socket_keepalive": True, "max_connections": connections_max}
        self._cluster: RedisCluster | None = None
        self._learning = asyncio.Lock()
        self._users: dict[RedisCluster, int] = {}

    async def send(self, key: bytes, commands: Sequence[Command]) -> list[Any]:
        cluster = await self._map()
        self._users[cluster] = self._users.get(cluster, 0) + 1
        try:
            return await self._send(cluster, key, commands)
        except (exceptions.ConnectionError, OSError, asyncio.CancelledError):
            self._forget(cluster)
            raise
        finally:
            self._users[cluster] -= 1
            await self._end(cluster)

    async def _send(self, cluster: RedisCluster, key: bytes, commands: Sequence[Command]) -> list[Any]:
        node = cluster.get_node_from_key(key)  # type: ignore[arg-type]
        assert node is not None
        results = await _exchange_with(node, commands)
        for index, command in enumerate(commands):
            redirections = 0
            while (
                isinstance(results[index], (exceptions.AskError, exceptions.TryAgainError)) and redirections < REDIRECTIONS_MAX
            ):
                redirections += 1
                results[index] = await self._send_on(cluster, node, command, results[index])
            if isinstance(results[index], exceptions.ClusterDownError):
                self._forget(cluster)
        return results

    async def _send_on(
        self, cluster: RedisCluster, node: ClusterNode, command: Command, refusal: exceptions.ResponseError
    ) -> Any:
        """To where the slot is now, or where it is going."""
        if not isinstance(refusal, exceptions.AskError):
            await asyncio.sleep(TRY_AGAIN_S)
            return (await _exchange_with(node, [command]))[0]
        if isinstance(refusal, exceptions.MovedError):
            self._forget(cluster)
        other = cluster.get_node(host=refusal.host or node.host, port=refusal.port)
        if other is None:
            raise exceptions.ConnectionError("a slot moved to a server that was not known before")
        if isinstance(refusal, exceptions.MovedError):
            return (await _exchange_with(other, [command]))[0]
        return (await _exchange_with(other, [("ASKING",), command]))[1]

    async def _map(self) -> RedisCluster:
        """Where the slots are; asked anew after anything went wrong."""
        async with self._learning:
            if self._cluster is None:
                nodes = [ClusterNode(host, port) for host, port in self._address.endpoints]
                cluster = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **self._options)
                kind = ResolvedSSLConnection if self._address.tls else ResolvedConnection
                cluster.connection_kwargs["connection_class"] = kind  # of the nodes that it will find
                for node in cluster.nodes_manager.startup_nodes.values():
                    node.connection_class = kind
                try:
                    await cluster.initialize()
                except BaseException:
                    await cluster.aclose()
                    raise
                self._cluster = cluster
            return self._cluster

    def _forget(self, cluster: RedisCluster) -> None:
        if self._cluster is cluster:
            self._cluster = None

    async def _end(self, cluster: RedisCluster) -> None:
        """Close what is forgotten once nobody uses it."""
        if self._users[cluster] == 0 and cluster is not self._cluster:
            del self._users[cluster]
            await cluster.aclose()

    async def place_of(self, key: bytes) -> object:
        node = (await self._map()).get_node_from_key(key)  # type: ignore[arg-type]
        return node.name if node else None

    async def drop(self) -> None:
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            self._users.setdefault(cluster, 0)
            await self._end(cluster)

    async def close(self) -> None:
        await self.drop()


async def _exchange_with(node: ClusterNode, commands: Sequence[Command]) -> list[Any]:
    connection = node.acquire_connection()
    try:
        if connection.is_connected and await connection.can_read():
            await connection.disconnect()  # the server closed it while nobody used it
        return await _exchange(connection, commands)
    finally:
        node.release(connection)


async def _exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    """Send and read, or drop the connection: whoever has it next must not get what was meant for us."""
    try:
        await connection.send_packed_command(connection.pack_commands(commands))
        results: list[Any] = []
        for _ in commands:
            try:
                results.append(await connection.read_response())
            except exceptions.ResponseError as error:
                results.append(error)
        return results
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
