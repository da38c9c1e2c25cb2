"""The servers that tests about Redis start: what they are started for must work."""

import os

import pytest

from tests.redis_server import RedisCluster, RedisServer, SentinelSet, wait_until


def test_a_server_forgets_at_a_restart_what_it_was_not_told_to_keep() -> None:
    with RedisServer() as server:
        server.cli("set", "name", "alice")
        before = server.cli("get", "name")

        server.restart()

        assert (before.strip(), server.cli("get", "name").strip()) == ("alice", "")


def test_a_server_that_is_left_is_gone() -> None:
    with RedisServer() as server:
        pid, folder = server.pid, server.folder

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


@pytest.mark.slow
def test_a_server_that_is_paused_answers_again_when_it_is_resumed() -> None:
    with RedisServer() as server:
        server.pause()
        paused = server.cli("ping")
        server.resume()

        assert (paused, server.cli("ping").strip()) == ("", "PONG")


@pytest.mark.slow
def test_sentinels_name_another_master_when_theirs_is_killed() -> None:
    with SentinelSet() as sentinels:
        assert sentinels.master_port() == sentinels.master.port

        sentinels.master.kill()
        wait_until(lambda: sentinels.master_port() == sentinels.replica.port, 20)

        wait_until(lambda: "role:master" in sentinels.replica.cli("info", "replication"), 20)


@pytest.mark.slow
def test_a_cluster_has_all_slots() -> None:
    with RedisCluster() as cluster:
        for server in cluster.servers:
            assert "cluster_slots_ok:16384" in server.cli("cluster", "info")
