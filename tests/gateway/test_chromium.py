"""A real browser, as the application's pages use it: the wire contract where it matters."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from tests.gateway.nodes import completed, event, gateway

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

UPLOAD_ID = "5c4e2f0a-9a39-4d0e-8f5f-3f1f3c0a7d11"

PAGE = """<!doctype html><script>
const said = [];
const socket = new WebSocket("ws://127.0.0.1:%d/ws/uploads");
socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: "%s"}));
socket.onmessage = ({data}) => {
  const message = JSON.parse(data);
  said.push(message);
  if (message.action === "auth_success")
    socket.send(JSON.stringify({action: "subscribe_upload", upload_id: "%s"}));
};
socket.onclose = ({code, reason, wasClean}) =>
  fetch("/report", {method: "POST", body: JSON.stringify({said, code, reason, wasClean, extensions: socket.extensions})});
</script>"""


@pytest.fixture
def chromium() -> str:
    if CHROMIUM is None:
        hint = "this test needs Chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)
    return CHROMIUM


@contextmanager
def _browsing(chromium: str, url: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={profile}", url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, 9)
            process.wait()
            shutil.rmtree(profile, ignore_errors=True)
            os.makedirs(profile, exist_ok=True)


class _Site:
    """Serves one page, and waits for its report."""

    def __init__(self) -> None:
        self.page = ""
        self.report: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):  # browsers open sockets to spare
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("POST /report"):
                size = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
                self.report.set_result(json.loads(await reader.readexactly(size)))
            body = self.page.encode() if head.startswith("GET / ") else b""
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()


@pytest.mark.slow
def test_a_page_in_chromium_sees_an_upload_to_its_end_and_the_goodbye(chromium: str) -> None:
    async def scenario() -> dict[str, Any]:
        site = _Site()
        server = await asyncio.start_server(site.handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, gateway(origins=(f"http://127.0.0.1:{port}",), drain_s=0.1) as node:
            site.page = PAGE % (node.address[1], node.authenticator.mint("alice", 60.0), UPLOAD_ID)
            await node.manager.publish(event(UPLOAD_ID, 20))
            with _browsing(chromium, f"http://127.0.0.1:{port}/"):
                async with asyncio.timeout(30):
                    while not node.manager.get_upload_subscriber_ids(UPLOAD_ID):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    await node.manager.publish(event(UPLOAD_ID, 60))
                    await node.manager.publish(completed(UPLOAD_ID))
                    await asyncio.sleep(0.1)
                    await node.stop()
                    return await site.report

    report = asyncio.run(scenario())

    actions = [message["action"] for message in report["said"] if message["action"] != "ping"]
    assert actions[:3] == ["auth_success", "subscribed", "upload_progress"]
    assert actions[-1] == "upload_completed"
    assert (report["code"], report["reason"], report["wasClean"]) == (1012, "Server reloading", True)
    assert report["extensions"] == "", "compression must not have been negotiated"


@pytest.mark.slow
def test_a_page_of_another_origin_gets_nothing(chromium: str) -> None:
    async def scenario() -> dict[str, Any]:
        site = _Site()
        server = await asyncio.start_server(site.handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, gateway(origins=("https://app.example",)) as node:
            site.page = PAGE % (node.address[1], node.authenticator.mint("alice", 60.0), UPLOAD_ID)
            with _browsing(chromium, f"http://127.0.0.1:{port}/"):
                async with asyncio.timeout(30):
                    return await site.report

    report = asyncio.run(scenario())

    assert report["said"] == []
    assert report["code"] == 1006
