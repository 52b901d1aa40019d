"""`touchline optout-server` beside the pipeline: the token in a mail that was delivered stops the next one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from world import MONDAY, WEDNESDAY, World


@contextmanager
def serving(world: World, *options: str) -> Iterator[httpx.Client]:
    """The command as a process of its own, on a free port."""
    command = [sys.executable, "-m", "touchline", "optout-server", "--port", "0", *options]
    with subprocess.Popen(command, env=world.environment, cwd=world.home, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().removeprefix("listening on ").strip()
            transport = httpx.HTTPTransport(retries=5)
            with httpx.Client(base_url=address, transport=transport, timeout=30) as client:
                yield client
        finally:
            server.terminate()


def test_the_token_of_a_delivered_mail_stops_the_follow_up(sqlite_world):
    sqlite_world.set_up()
    sqlite_world.leads(2)
    sqlite_world.run("import", "leads.csv", "-c", "spring")
    sqlite_world.run("run", "-c", "spring", "--until", "nurture")
    sqlite_world.run("run", "-c", "spring", now=WEDNESDAY)
    mail = next(m for m in sqlite_world.smtp.messages if m.rcpt_to == ("ann0@firm0.com",))
    token = re.search(rb"List-Unsubscribe: <mailto:[^>]*unsubscribe%20([^>]+)>", mail.data)
    assert token is not None
    path = f"/o/{token[1].decode()}"
    with serving(sqlite_world) as server:
        assert server.get(path).status_code == 200
        assert sqlite_world.run("suppress", "list", "--json").json == []
        for _ in range(2):
            assert server.post(path, content="List-Unsubscribe=One-Click").status_code == 200
    listed = sqlite_world.run("suppress", "list", "--json").json
    assert [(entry["kind"], entry["value"], entry["reason"]) for entry in listed] == [
        ("address", "ann0@firm0.com", "unsubscribed")
    ]
    sqlite_world.run("run", "-c", "spring", now=MONDAY)
    assert sorted(m.rcpt_to[0] for m in sqlite_world.smtp.messages) == [
        "ann0@firm0.com",
        "ann1@firm1.com",
        "ann1@firm1.com",
    ]
    told = sqlite_world.run("explain", "ann0@firm0.com", "--json").json
    assert "unsubscribed" in str(told["happened"])


def test_a_port_that_is_taken_is_said_so(sqlite_world):
    sqlite_world.set_up()
    with serving(sqlite_world) as server:
        told = sqlite_world.run("optout-server", "--port", str(server.base_url.port), code=78)
    assert "cannot be listened on" in told.err


def test_a_database_that_is_not_set_up_is_said_before_anything_is_served(sqlite_world):
    assert "touchline init" in sqlite_world.run("optout-server", "--port", "0", code=78).err
