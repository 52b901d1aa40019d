"""The opt-out server over HTTP: who may say no, how often, and what happens where it cannot be noted."""

import asyncio
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import pytest
from sqlalchemy import event
from starlette.types import Message

from certificate import self_signed
from touchline.adapters.public import MARK, fault
from touchline.app import tokens
from touchline.app.suppression import opt_out

ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


def open_touches(people) -> int:
    return sum(people.touches.get(state, 0) for state in ("drafted", "planned"))


@contextmanager
def locked(people, wait_ms=20):
    """Another process is writing and does not come to an end."""
    people.store.close()
    event.listen(people.store.engine, "connect", lambda c, _: c.execute(f"PRAGMA busy_timeout = {wait_ms}"))
    with closing(sqlite3.connect(people.store.engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_one_click_ends_every_campaign_to_that_address_and_to_no_other(people, link, served):
    ann, again = people.enrol("ann@firm.example")
    people.enrol("bob@firm.example")
    with served(people.application()) as server:
        said = server.post(link(ann), content=ONE_CLICK, headers={"Content-Type": FORM})
    assert (said.status_code, said.history) == (200, [])
    assert "<h1>Done</h1>" in said.text
    assert "set-cookie" not in said.headers
    assert people.suppressed == ["ann@firm.example"]
    assert people.touches == {"cancelled": 2, "drafted": 1, "planned": 1}
    assert people.events(ann) == people.events(again) == [("unsubscribed", people.now, "opt-out page")]


def test_saying_it_again_is_harmless_from_whatever_campaign(people, link, served):
    ann, again = people.enrol()
    with served(people.application()) as server:
        answers = [server.post(link(key)) for key in (ann, ann, again)]
    assert [(a.status_code, a.text) for a in answers] == [(200, answers[0].text)] * 3
    assert people.suppressed == ["ann@firm.example"]
    assert [kind for kind, *_ in people.events(ann)] == ["unsubscribed"]


def test_twenty_at_the_same_moment_are_one(people, link, served):
    ann, again = people.enrol()
    with served(people.application()) as server, ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda i: server.post(link((ann, again)[i % 2])), range(20)))
    assert {a.status_code for a in answers} == {200}
    assert people.suppressed == ["ann@firm.example"]
    assert [kind for kind, *_ in people.events(ann)] == ["unsubscribed"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ONE_CLICK, FORM),
        ("", None),
        (b"--b\r\nContent-Disposition: form-data; name=List-Unsubscribe\r\n\r\nOne-Click\r\n--b--\r\n",
         "multipart/form-data; boundary=b"),
        (b"\xff\x00{", "application/json; charset=nonsense"),
        (b"no=boundary", "multipart/form-data"),
        (b"x" * 8_000_000, FORM),
    ],
    ids=["one click", "nothing", "multipart", "nonsense", "broken multipart", "eight megabytes"],
)  # fmt: skip
def test_a_post_means_its_address_whatever_its_body_says(sqlite_people, link, served, content, kind):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        said = server.post(link(ann), content=content, headers={"Content-Type": kind} if kind else {})
    assert said.status_code == 200
    assert sqlite_people.suppressed == ["ann@firm.example"]


def test_looking_never_acts(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        shown = server.get(link(ann))
        head = server.head(link(ann))
    assert (shown.status_code, head.status_code, head.content) == (200, 200, b"")
    assert '<form method="post"><button type="submit">' in shown.text
    assert head.headers["content-length"] == str(len(shown.content))
    assert (sqlite_people.suppressed, open_touches(sqlite_people)) == ([], 2)


def test_every_page_forbids_scripts_frames_caches_and_referrers(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        pages = [server.get(link(ann)), server.post(link(ann)), server.get("/o/x")]
        pages.append(server.put(link(ann)))
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "style=" not in page.text
        assert "<script" not in page.text
        assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_a_link_that_is_not_ours_gets_a_page_that_says_what_to_do(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    good = link(ann)
    bad = [good[:-1], good + "A", good + "=", good + "/", good + "%00", good + "%0A", good.upper(), "/o/%FF%FE", "/o/ü"]
    bad += ["/o/", "/o", "/", "/o/a/b/c", "/favicon.ico", "/o/" + "A" * 20_000, f"/o/{tokens.sign(b'another', ann)}"]
    with served(sqlite_people.application()) as server:
        for path in bad:
            for method in ("GET", "POST"):
                said = server.request(method, path)
                assert said.status_code == 404, path
                assert "Answer the email with “no thanks”" in said.text
    assert (sqlite_people.suppressed, open_touches(sqlite_people)) == ([], 2)


def test_a_prospect_that_is_gone_has_no_address_to_spare_and_the_page_does_not_claim_so(people, link, served):
    ann, _ = people.enrol()
    people.forget(ann)
    with served(people.application()) as server:
        said = server.post(link(ann))
    assert (said.status_code, people.suppressed) == (404, [])
    assert "Answer the email" in said.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(sqlite_people, link, served, method):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        said = server.request(method, link(ann))
    assert said.status_code == 405
    assert set(said.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert sqlite_people.suppressed == []


def test_a_body_without_end_is_never_asked_for(sqlite_people, link):
    ann, _ = sqlite_people.enrol()
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    path = link(ann)
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
        "query_string": b"",
    }
    asyncio.run(sqlite_people.application()(scope, receive, send))
    assert sent[0]["status"] == 200
    assert sqlite_people.suppressed == ["ann@firm.example"]


def test_a_body_that_comes_late_or_not_at_all_does_not_hold_the_answer_back(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        port = server.base_url.port
        with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
            head = f"POST {link(ann)} HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n"
            late.sendall(head.encode())
            assert late.recv(65536).startswith(b"HTTP/1.1 200")
            late.sendall(ONE_CLICK.encode())
    assert sqlite_people.suppressed == ["ann@firm.example"]


def test_a_locked_database_is_said_so_and_the_next_try_works(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        with locked(sqlite_people):
            said = server.post(link(ann))
            assert server.get(link(ann)).status_code == 200
        assert (said.status_code, said.headers["retry-after"]) == (503, "60")
        assert "answer the email with “no thanks”" in said.text
        assert sqlite_people.suppressed == []
        assert server.post(link(ann)).status_code == 200
    assert sqlite_people.suppressed == ["ann@firm.example"]


def test_more_requests_than_the_database_serves_wait_and_then_hear_that_it_is_busy(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with (
        served(sqlite_people.application(patience=0.05)) as server,
        ThreadPoolExecutor(30) as threads,
        locked(sqlite_people, wait_ms=400),
    ):
        codes = [a.status_code for a in threads.map(lambda _: server.post(link(ann)), range(30))]
    assert codes == [503] * 30


def test_a_database_that_is_gone_is_said_so_and_the_health_page_shows_it(tmp_path, sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with served(sqlite_people.application()) as server:
        assert server.get("/health").text == f"{MARK} {tokens.sign(sqlite_people.secret, 0)}\n"
        sqlite_people.store.close()
        for file in tmp_path.glob("touchline.db*"):
            file.unlink()
        (tmp_path / "touchline.db").write_text("this is no database" * 100)
        assert server.get("/health").status_code == 503
        assert server.post(link(ann)).status_code == 503


def test_the_check_of_the_public_address_finds_this_server_and_no_other(tmp_path, monkeypatch, sqlite_people, served):
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served(sqlite_people.application(), ssl_certfile=certificate) as server:
        url = str(server.base_url)
        assert fault(url, sqlite_people.secret) is None
        assert "another secret" in str(fault(url, b"another"))
        sqlite_people.store.close()
        (tmp_path / "touchline.db").unlink()
        (tmp_path / "touchline.db").mkdir()
        assert fault(url, sqlite_people.secret) == f"{url} answers with HTTP 503"


def test_a_defect_shows_the_same_way_out(sqlite_people, link, served):
    ann, _ = sqlite_people.enrol()
    with sqlite_people.store.transaction() as unit:
        unit.connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON suppressions BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
    with served(sqlite_people.application()) as server:
        said = server.post(link(ann))
    assert said.status_code == 500
    assert "answer the email with “no thanks”" in said.text


def test_the_health_page_opts_nobody_out_though_it_shows_a_signed_token(people, served):
    people.enrol()
    with served(people.application()) as server:
        token = server.get("/health").text.split()[-1]
        assert tokens.verify(people.secret, token) == 0
        assert server.post(f"/o/{token}").status_code == 404
    assert (people.suppressed, open_touches(people)) == ([], 2)


@pytest.mark.parametrize("path", ["/o/x", "/", "/a/b/c/d", "/o/%2F%2F"])
def test_the_style_sheet_is_found_from_any_depth_and_below_any_prefix(sqlite_people, served, path):
    with served(sqlite_people.application()) as server:
        text = server.get(path).text
        href = text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert httpx.URL("https://x.example/mail" + path).join(href).path == "/mail/style.css"
        style = server.get("/style.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")


def test_who_says_it_twice_at_once_is_noted_once(postgres_people, link, served):
    ann, again = postgres_people.enrol()
    store = postgres_people.store
    with served(postgres_people.application()) as server, ThreadPoolExecutor(1) as threads:
        with store.transaction() as unit:
            assert opt_out(unit, again, "opt-out page", postgres_people.now)
            second = threads.submit(server.post, link(ann))
            while True:  # until the second waits for what the first has not committed yet
                with store.reading() as looking:
                    if looking.connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").first():
                        break
        assert second.result().status_code == 200
    assert postgres_people.suppressed == ["ann@firm.example"]
    assert [kind for kind, *_ in postgres_people.events(ann)] == ["unsubscribed"]
