"""What an operator does to a Redis Cluster."""

import subprocess

from tests.redis_server import RedisCluster, RedisServer
from vuemantics_ws.brokers.redis.slots import slot


def owner_of(cluster: RedisCluster, channel: bytes) -> RedisServer:
    ours = {server.port: server for server in cluster.servers}
    for line in cluster.servers[0].cli("cluster", "nodes").splitlines():
        _, at, _, _, _, _, _, _, *ranges = line.split()
        for first, _, last in (each.partition("-") for each in ranges if not each.startswith("[")):
            if int(first) <= slot(channel) <= int(last or first):
                return ours[int(at.partition("@")[0].rpartition(":")[2])]
    raise AssertionError(f"nobody has the slot of {channel!r}")


def replicate(replica: RedisServer, master: RedisServer) -> None:
    """As an operator's redis-cli adds a node that follows a master."""
    hosts = [f"127.0.0.1:{replica.port}", f"127.0.0.1:{master.port}"]
    whose = ["--cluster-slave", "--cluster-master-id", master.cli("cluster", "myid").strip()]
    subprocess.run(["redis-cli", "--cluster", "add-node", *hosts, *whose], check=True, capture_output=True)


def migrate(cluster: RedisCluster, number: int, source: RedisServer, target: RedisServer) -> None:
    """As an operator's redis-cli gives a slot to another master, with the keys in it."""
    identity = target.cli("cluster", "myid").strip()
    target.cli("cluster", "setslot", str(number), "importing", source.cli("cluster", "myid").strip())
    source.cli("cluster", "setslot", str(number), "migrating", identity)
    while keys := source.cli("cluster", "getkeysinslot", str(number), "100").split():
        source.cli("migrate", "127.0.0.1", str(target.port), "", "0", "5000", "keys", *keys)
    for server in (target, source, *cluster.servers):
        server.cli("cluster", "setslot", str(number), "node", identity)
