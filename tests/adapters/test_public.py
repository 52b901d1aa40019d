"""The public address of the opt-out server: real servers on loopback, with a certificate of our own."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import ClassVar

import pytest

from certificate import self_signed
from touchline.adapters.public import fault, health

SECRET = b"secret"
Respond = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for."""
    return self_signed(tmp_path_factory.mktemp("public"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate, as one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


class Answering(BaseHTTPRequestHandler):
    """Answers every GET as its server wants, and notes what was asked."""

    respond: ClassVar[Respond]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        type(self).respond(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing."""


@contextmanager
def https(certificate: Path, respond: Respond, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Its address, and the paths that it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (Answering,), {"respond": staticmethod(respond), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are the point
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The handshake belongs to the thread of the connection, so that one bad client does not hold the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}{path}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def saying(text: str, code: int = 200, **headers: str) -> Respond:
    def respond(to: BaseHTTPRequestHandler) -> None:
        to.send_response(code)
        for name, value in headers.items():
            to.send_header(name, value)
        to.send_header("Content-Length", str(len(text)))
        to.end_headers()
        to.wfile.write(text.encode())

    return respond


@pytest.mark.parametrize("path", ["", "/", "/mail", "/mail/"])
def test_the_server_that_knows_the_secret_is_no_fault(trusted, path):
    with https(trusted, saying(health(SECRET)), path) as (url, asked):
        assert fault(url, SECRET) is None
        assert fault(url) is None
    assert asked == [path.rstrip("/") + "/health"] * 2


def test_a_server_with_another_secret_would_refuse_our_links(trusted):
    with https(trusted, saying(health(b"another"))) as (url, _):
        assert fault(url, SECRET) == f"{url} is answered by an opt-out server with another secret"


@pytest.mark.parametrize("text", ["", "<html>It works!</html>", "x" * 300 + health(SECRET)])
def test_something_else_that_answers_is_a_fault(trusted, text):
    with https(trusted, saying(text)) as (url, _):
        assert fault(url, SECRET) == f"{url} is answered by something else"


@pytest.mark.parametrize("code", [404, 500, 502, 503])
def test_an_error_page_is_a_fault_that_names_its_code(trusted, code):
    with https(trusted, saying("oops", code)) as (url, _):
        assert fault(url) == f"{url} answers with HTTP {code}"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_wherever_it_leads(trusted, code):
    with https(trusted, saying(health(SECRET))) as (goal, visited):
        with https(trusted, saying("", code, Location=f"{goal}/health")) as (url, _):
            assert fault(url) == f"{url} answers with HTTP {code}; it redirects to {goal}/health"
        assert visited == []


def test_a_certificate_that_nobody_vouches_for_is_a_fault(certificate):
    with https(certificate, saying(health(SECRET))) as (url, asked):
        found = fault(url)
    assert found is not None
    assert "CERTIFICATE_VERIFY_FAILED" in found
    assert asked == []


def test_a_name_that_the_certificate_does_not_have_is_a_fault(trusted):
    with https(trusted, saying(health(SECRET))) as (url, _):
        found = fault(url.replace("127.0.0.1", "localhost"))
    assert found is not None
    assert "CERTIFICATE_VERIFY_FAILED" in found


def test_a_port_where_nobody_listens_is_a_fault():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert fault(f"https://127.0.0.1:{port}") == (
        f"https://127.0.0.1:{port} does not answer: [Errno 111] Connection refused"
    )


def test_a_server_that_speaks_no_tls_or_no_http_is_a_fault(trusted):
    def babble(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"this is no HTTP\r\n" * 5)

    with https(trusted, babble) as (url, _):
        assert str(fault(url)).startswith(f"{url} does not answer: ")
    with https(trusted, lambda _: None) as (url, _):
        assert str(fault(url)).startswith(f"{url} does not answer: ")


def test_one_that_never_answers_or_drips_for_ever_is_left_in_time(trusted):
    left = Event()

    def drip(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"HTTP/1.0 200 OK\r\n")
        while not left.wait(0.01):
            to.wfile.write(b"x: y\r\n")

    with https(trusted, drip) as (url, _):
        assert fault(url, timeout=0.3) == f"{url} does not answer within 0.3 seconds"
        left.set()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = fault(f"https://127.0.0.1:{mute.getsockname()[1]}", timeout=0.2)
    assert found is not None
    assert "does not answer" in found


def test_a_huge_answer_is_not_read_to_its_end(trusted):
    written = 0

    def pour(to: BaseHTTPRequestHandler) -> None:
        nonlocal written
        to.send_response(200)
        to.end_headers()
        while True:
            written += to.wfile.write(b"x" * 65536)

    with https(trusted, pour) as (url, _):
        assert fault(url) == f"{url} is answered by something else"
    assert written < 50_000_000


@pytest.mark.parametrize(
    "url",
    ["", "mail.example.com", "http://mail.example.com", "http://127.0.0.1:8025", "ftp://x.example", "HTTPS://x.example",
     "file:///etc/passwd", "//mail.example.com"],
)  # fmt: skip
def test_only_https_is_taken(url):
    assert fault(url) == f"{url} is not an https address"


@pytest.mark.parametrize(
    "url",
    ["https://", "https:///x", "https://[::1", "https://x.example:port", "https://x.example:0", "https://x.example/?a=b",
     "https://x.example/#a", "https://me:pass@x.example", "https://me@x.example", "https://x.example/a b",
     "https://bücher.example", "https://x.example/<", "https://x.example/" + "a" * 900, "https://x.example\n"],
)  # fmt: skip
def test_an_address_that_no_header_can_carry_is_a_fault(url):
    assert str(fault(url)).endswith("is not a plain address such as https://mail.example.com")


def test_a_host_name_that_cannot_be_looked_up_is_a_fault():
    url = f"https://{'a' * 64}.example"
    assert str(fault(url)).startswith(f"{url} does not answer: ")
