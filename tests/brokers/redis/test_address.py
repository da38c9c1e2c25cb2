"""Every form of a URL of Redis, and what is said of each that is none."""

import pytest

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.errors import BadSetting

LOCAL = (Endpoint("127.0.0.1", 6379),)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://127.0.0.1", RedisAddress("server", LOCAL)),
        ("redis://127.0.0.1/", RedisAddress("server", LOCAL)),
        (" REDIS://127.0.0.1:6379/0\n", RedisAddress("server", LOCAL)),
        ("redis://redis.example:7000/12", RedisAddress("server", (Endpoint("redis.example", 7000),), database=12)),
        ("redis://[::1]:7000", RedisAddress("server", (Endpoint("::1", 7000),))),
        ("redis://[::1]", RedisAddress("server", (Endpoint("::1", 6379),))),
        ("redis://ann:p%40ss%2F%3A@127.0.0.1", RedisAddress("server", LOCAL, username="ann", password="p@ss/:")),
        ("redis://:a:b@127.0.0.1", RedisAddress("server", LOCAL, password="a:b")),
        ("rediss://127.0.0.1", RedisAddress("server", LOCAL, tls=True)),
        ("rediss://127.0.0.1?ca=/etc/a%20b.pem", RedisAddress("server", LOCAL, tls=True, ca="/etc/a b.pem")),
        ("rediss://127.0.0.1/?verify=none", RedisAddress("server", LOCAL, tls=True, verify=False)),
        ("unix:///run/redis/a%20b.sock", RedisAddress("server", (), path="/run/redis/a b.sock")),
        ("unix://:x@/run/redis.sock?db=3", RedisAddress("server", (), password="x", database=3, path="/run/redis.sock")),
        (
            "redis+sentinel://a,b:7000/main/2",
            RedisAddress("sentinel", (Endpoint("a", 26379), Endpoint("b", 7000)), database=2, master="main"),
        ),
        (
            "rediss+sentinel://ann:x@a/main",
            RedisAddress("sentinel", (Endpoint("a", 26379),), tls=True, username="ann", password="x", master="main"),
        ),
        ("redis+cluster://a,[::1]:7000/", RedisAddress("cluster", (Endpoint("a", 6379), Endpoint("::1", 7000)))),
        ("rediss+cluster://a/0", RedisAddress("cluster", (Endpoint("a", 6379),), tls=True)),
    ],
)
def test_a_url_is_read(url: str, address: RedisAddress) -> None:
    assert RedisAddress.read(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379",
        "redis://[::1]:6379/12",
        "rediss://127.0.0.1:6379?ca=/etc/a%20b.pem&verify=none",
        "unix:///run/a%20b.sock?db=3",
        "redis+sentinel://a:26379,b:7000/my%2Fmaster/2",
        "rediss+cluster://a:6379,b:6379",
    ],
)
def test_what_is_written_is_read_again(url: str) -> None:
    address = RedisAddress.read(url)

    assert str(address) == url
    assert RedisAddress.read(str(address)) == address


def test_user_and_password_are_never_shown() -> None:
    address = RedisAddress.read("redis://ann:hunter2@127.0.0.1")

    assert str(address) == "redis://127.0.0.1:6379"
    assert "hunter2" not in repr(address)
    assert address.place == "redis at 127.0.0.1:6379"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("unix:///run/redis.sock", "redis at /run/redis.sock"),
        ("redis+sentinel://a,b/main", "redis master main of the Sentinels at a:26379, b:26379"),
        ("redis+cluster://a,b", "redis cluster at a:6379, b:6379"),
    ],
)
def test_a_place_can_be_said(url: str, place: str) -> None:
    assert RedisAddress.read(url).place == place


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "expected a URL of Redis"),
        ("127.0.0.1:6379", "expected a URL of Redis"),
        ("http://hunter2@127.0.0.1", "expected a URL of Redis"),
        ("redis+nodes://hunter2@127.0.0.1", "expected a URL of Redis"),
        ("unix+cluster:///run/redis.sock", "expected a URL of Redis"),
        ("redis://", "expected host or host:port"),
        ("redis://:hunter2@", "expected host or host:port"),
        ("redis://:hunter2@a b", "expected host or host:port"),
        ("redis://::1", "expected host or host:port"),
        ("redis://[::1", "expected host or host:port"),
        ("redis://[::1]7000", "expected host or host:port"),
        ("redis://a:", "expected host or host:port"),
        ("redis://a:hunter2", "expected a port from 1 to 65535"),
        ("redis://a:0", "expected a port from 1 to 65535"),
        ("redis://a:65536", "expected a port from 1 to 65535"),
        ("redis://a,b", "expected one host, not 2"),
        ("redis://a/0/1", "expected a database behind the host"),
        ("redis://a/main", "expected a database's number, not 'main'"),
        ("redis://a/-1", "expected a database's number, not '-1'"),
        ("redis://:hunter2#3@a", "expected no # in a URL"),
        ("redis://:hunter2?3@a", "expected no ? in user or password"),
        ("redis://:hunter2/3@a", "expected no / and no @ in user or password"),
        ("redis://:hunter2@3@a", "expected no / and no @ in user or password"),
        ("redis://a?hunter2", "expected nothing behind the question mark"),
        ("redis://a?db=3", "expected nothing behind the question mark"),
        ("rediss://a?cert=hunter2", "expected ca= or verify= behind the question mark"),
        ("rediss://a?verify=yes", "expected verify=none, not verify=yes"),
        ("unix://host/path", "expected the path of a socket file"),
        ("unix://", "expected the path of a socket file"),
        ("unix:///path?db=x", "expected a database's number, not 'x'"),
        ("redis+sentinel://a", "expected what Sentinels call the master"),
        ("redis+sentinel://a/", "expected what Sentinels call the master"),
        ("redis+cluster://a/1", "expected database 0, not 1: a Redis Cluster has no other"),
        ("redis+cluster://a,", "expected host or host:port"),
    ],
)
def test_what_is_no_url_is_refused_with_the_cure(url: str, expected: str) -> None:
    with pytest.raises(BadSetting) as refused:
        RedisAddress.read(url)

    assert refused.value.message.startswith(expected)
    assert refused.value.setting == "redis"
    assert refused.value.hint
    assert "hunter2" not in refused.value.message + refused.value.hint
