"""What virtual time cannot have, and the words in which a loop refuses it."""

from collections.abc import Callable
from typing import Any, NoReturn


class NotVirtual(NotImplementedError):
    """Something would bring real time, real chance or the outside into virtual time, where no run would equal the next.

    A fault of the program that runs there, so none of the errors that it may expect and handle. Only what asks whether a
    loop can do something, as programs do with signals, takes it for the no that it is.
    """


_THREADS = ("threads", "do the work in the loop")
_SOCKETS = ("real sockets", "use create_connection and create_server, which go to the virtual network")
_PIPES = ("pipes", "keep what goes through them in memory")
_UNIX = ("unix sockets", "use create_connection and create_server, which go to the virtual network")
_PROCESSES = ("real processes", "start a clock.process.Process")
_SIGNALS = ("signals", "pause, resume or kill a clock.process.Process")
_TLS = ("TLS", "connect without it")
_DATAGRAMS = ("datagrams", "use a stream")

REFUSED: dict[str, tuple[str, str]] = {
    "run_in_executor": _THREADS,
    "set_default_executor": _THREADS,
    "add_reader": _SOCKETS,
    "remove_reader": _SOCKETS,
    "add_writer": _SOCKETS,
    "remove_writer": _SOCKETS,
    "sock_recv": _SOCKETS,
    "sock_recv_into": _SOCKETS,
    "sock_recvfrom": _SOCKETS,
    "sock_recvfrom_into": _SOCKETS,
    "sock_sendall": _SOCKETS,
    "sock_sendto": _SOCKETS,
    "sock_connect": _SOCKETS,
    "sock_accept": _SOCKETS,
    "sock_sendfile": _SOCKETS,
    "connect_accepted_socket": _SOCKETS,
    "sendfile": ("files", "write to the transport"),
    "getnameinfo": ("name services", "a host's name is its address"),
    "create_datagram_endpoint": _DATAGRAMS,
    "connect_read_pipe": _PIPES,
    "connect_write_pipe": _PIPES,
    "create_unix_connection": _UNIX,
    "create_unix_server": _UNIX,
    "start_tls": _TLS,
    "subprocess_exec": _PROCESSES,
    "subprocess_shell": _PROCESSES,
    "add_signal_handler": _SIGNALS,
    "remove_signal_handler": _SIGNALS,
}
"""By the names of the methods of a loop: what each would bring in, and what to do instead."""


def refuse(what: str, who: str, instead: str) -> NoReturn:
    raise NotVirtual(f"virtual time has no {what} ({who}): {instead}")


def refusing(method: str) -> Callable[..., NoReturn]:
    """A method that refuses; at the call, and not first where its answer is awaited."""
    what, instead = REFUSED[method]

    def refused(self: object, *arguments: Any, **options: Any) -> NoReturn:
        refuse(what, f"loop.{method}", instead)

    refused.__name__ = method
    return refused
