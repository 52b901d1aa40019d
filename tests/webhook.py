"""A webhook's server on loopback, for tests of what people are told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "hunter2-token"


class Hook:
    """A webhook's server on loopback: keeps what it is told and asked, and answers as it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.asked: list[str] = []
        hook = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.heard.append(json.loads(body))
                hook.paths.append(self.path)
                self._answer()

            def do_GET(self) -> None:
                hook.asked.append(self.path)
                self._answer()

            def _answer(self) -> None:
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/{SECRET}"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.heard]


@contextmanager
def listening() -> Iterator[Hook]:
    """A hook that answers until the block ends."""
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()
