"""A real nginx, with the configuration that the documentation has, in front of servers of a test."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.redis_server import die_with_parent, wait_until

PAGE = Path(__file__).parent.parent / "docs" / "deployment.md"
HOW_TO_GET_IT = "nginx is missing: apt-get install nginx-light, or brew install nginx"
STARTS_WITHIN_S = 20.0

_AROUND = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


def nginx_program() -> str:
    """Where it is. Skips the test where it is nowhere; in CI that is a failure."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    return program


def documented() -> str:
    """The configuration on the page about deployment."""
    (block,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


class Nginx:
    """Runs between ``with`` and its end, as the documentation says, in front of the ports that are given."""

    def __init__(self, port: int, *upstream: int) -> None:
        self._program = nginx_program()
        self._folder = tempfile.TemporaryDirectory(prefix="vuemantics-ws-nginx-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.folder = Path(self._folder.name)
        site = documented().replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl/", f"{self.folder}/")
        for host, at in zip(("10.0.0.11:8765", "10.0.0.12:8765"), upstream, strict=True):
            assert host in site
            site = site.replace(host, f"127.0.0.1:{at}")
        (self.folder / "nginx.conf").write_text(_AROUND.format(folder=self.folder, site=site))

    def __enter__(self) -> Self:
        certify(self.folder / "app.example.org.pem", self.folder / "app.example.org.key")
        command = [self._program, "-p", self._folder.name, "-e", "stderr", "-c", "nginx.conf"]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)
        wait_until(self._is_up, STARTS_WITHIN_S, (self.folder / "log").read_text)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _is_up(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def certify(certificate: Path, key: Path) -> None:
    """Make a certificate that signs itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=app.example.org", "-addext", "subjectAltName=DNS:app.example.org",
         "-out", str(certificate), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )  # fmt: skip
