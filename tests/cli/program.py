"""The program as its users have it: in a process of its own where that matters, in ours where it does not."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from vuemantics_ws_cli.app import main

SECRET = "a secret of quite enough bytes for anybody"


class Outcome(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def run(*arguments: str) -> Outcome:
    """Run a command here, with stdout and stderr as pipes are."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    for stream in (out, err):
        stream.seek(0)
    return Outcome(code, out.read(), err.read())


def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command in a process of its own. The caller ends it: use :func:`ended`."""
    return subprocess.Popen(
        [sys.executable, "-m", "vuemantics_ws_cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )


@contextlib.contextmanager
def running(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs meanwhile, and is killed if it still does at the end."""
    process = start(*arguments, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> Outcome:
    """Wait for the end, at most ten seconds, and take what is left to read."""
    out, err = process.communicate(timeout=10)
    return Outcome(process.returncode, out, err)


def read_until(stream: IO[str] | None, words: str) -> str:
    """Read lines up to the one with these words in it, which is returned."""
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"expected a line with {words!r}, got {seen}")


class Server(NamedTuple):
    """A server that is ready, with the options that lead there."""

    process: "subprocess.Popen[str]"
    url: str
    control: str

    @property
    def at_url(self) -> tuple[str, ...]:
        return ("--url", self.url, *self.at_control)

    @property
    def at_control(self) -> tuple[str, ...]:
        return ("--control", self.control)


@contextlib.contextmanager
def server(state: Path, *options: str) -> Iterator[Server]:
    """``vuemantics-ws serve`` on free ports."""
    ports = [] if "--port" in options else ["--port", "0", "--control-port", "0"]
    with running("serve", "--json", "--drain", "0", *ports, *options, VUEMANTICS_WS_STATE_DIR=str(state)) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Server(process, ready["url"], ready["control"])
        if process.poll() is None:
            process.terminate()
        assert ended(process).code == 0


def free_port() -> int:
    """A port that nobody listens on. Somebody may take it before it is used, which is rare."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
