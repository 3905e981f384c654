"""A receiver of webhooks whose answers a test chooses."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.labs import free_port
from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Call:
    """A request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The requests that came, and the next answers: a status, raw bytes, or "hang"; then always 204."""

    port: int = field(default_factory=free_port)
    answers: list[int | bytes | str] = field(default_factory=list)
    calls: queue.Queue[Call] = field(default_factory=queue.Queue)
    release: threading.Event = field(default_factory=threading.Event)
    before_answer: Any = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=sentinel-token"


@contextmanager
def receiving(receiver: Receiver, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Answer HTTP on the receiver's port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.calls.put(Call(self.path, headers, body))
            if receiver.before_answer is not None:
                receiver.before_answer()
            answer = receiver.answers.pop(0) if receiver.answers else 204
            if answer == "hang":
                receiver.release.wait(PATIENCE)
            elif isinstance(answer, bytes):
                self.wfile.write(answer)
            elif isinstance(answer, int):
                self.send_response(answer)
                self.send_header("location", "/elsewhere")
                self.end_headers()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Ignore clients that hang up."""

    server = Server(("127.0.0.1", receiver.port), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def tunnelling(seen: list[str]) -> Iterator[int]:
    """Run an HTTP proxy that takes CONNECT and records the requested addresses."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65_536):
                target.sendall(chunk)
        except OSError:
            pass
        target.close()

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += near.recv(1)
            seen.append(request.split()[1].decode())
            host, port = seen[-1].rsplit(":", 1)
            far = socket.create_connection((host, int(port)))
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=copy, args=(near, far), daemon=True).start()
            threading.Thread(target=copy, args=(far, near), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
