"""Several sockets that listen on one port, and the one that holds it for them."""

import contextlib
import socket
import sys

import pytest

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.listening import listen, reserve


def accepted(listener: socket.socket) -> int:
    """How many connections wait there."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def shared(port: int) -> socket.socket:
    return listen("127.0.0.1", port, "--port", shared=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all connections go to one of the sockets")
def test_connections_are_spread_over_those_that_listen_and_none_waits_at_the_one_that_reserved_the_port() -> None:
    with reserve("127.0.0.1", 0, "--port") as held, contextlib.ExitStack() as stack:
        port = held.getsockname()[1]
        listeners = [stack.enter_context(shared(port)) for _ in range(2)]

        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))

        counts = [accepted(listener) for listener in listeners]
    assert sum(counts) == 100
    assert min(counts) > 10


def test_a_port_that_somebody_reserved_is_taken_before_anybody_listens_there() -> None:
    with reserve("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]

        for take in (reserve, listen):
            with pytest.raises(EnvironmentUnfit) as caught:
                take("127.0.0.1", port, "--port")
            assert caught.value.message == f"cannot listen on 127.0.0.1 port {port}: address already in use"


def test_a_port_is_not_reserved_where_somebody_listens_who_would_share_it() -> None:
    with shared(0) as listener:
        with pytest.raises(EnvironmentUnfit):
            reserve("127.0.0.1", listener.getsockname()[1], "--port")


def test_a_port_can_be_reserved_again_while_connections_of_before_are_ending() -> None:
    with reserve("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        with shared(port) as listener:
            listener.setblocking(True)
            with socket.create_connection(("127.0.0.1", port)) as client:
                listener.accept()[0].close()  # who closes first keeps the port in TIME_WAIT
                assert client.recv(1) == b""

    reserve("127.0.0.1", port, "--port").close()
