"""MX look-ups against a real responder on loopback, and the responder against a second implementation of DNS."""

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.adapters.dns import MxResolver, wire_form
from touchline.model.errors import InvalidInput, Misconfigured
from touchline.sim.dns_server import KINDS, Answer, DnsServer, question_of, zone_from_file

QUICK = 0.25
"""Shortest time-out in seconds that c-ares keeps to."""

WORDS = {
    "mx": "mx",
    "a": "a",
    "aaaa": "a",
    "none": "none",
    "null_mx": "null_mx",
    "large": "mx",
    "nxdomain": "nxdomain",
    "servfail": "timeout",
    "refused": "timeout",
    "timeout": "timeout",
}
"""What the resolver must say of each kind of the responder."""


def resolver(server, **options):
    return MxResolver([f"127.0.0.1:{server.port}"], **{"timeout": QUICK, "tries": 1, **options})


def udp(server, name, kind="MX"):
    return dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", port=server.port, timeout=2)


def test_every_kind_of_answer_has_its_word():
    zone = {f"{kind.replace('_', '-')}.de": answer for kind, answer in KINDS.items()}
    with DnsServer(zone) as server:
        found = resolver(server).resolve_now([*zone, "unlisted.de"])
    assert found == {f"{kind.replace('_', '-')}.de": word for kind, word in WORDS.items()} | {"unlisted.de": "nxdomain"}


@pytest.mark.parametrize(
    "domain",
    [
        "",
        ".",
        "a..de",
        ".de",
        "a.de.",
        "a b.de",
        "a@b.de",
        "x" * 64 + ".de",
        "x." * 127 + "de",
        "ü" * 60 + ".de",
        "a\0.de",
    ],
)
def test_a_malformed_name_does_not_exist_and_is_not_asked_for(domain):
    with DnsServer({}) as server:
        assert resolver(server).resolve_now([domain]) == {domain: "nxdomain"}
    assert not server.asked


def test_names_with_underscores_and_hyphens_at_the_edge_are_asked_for():
    with DnsServer(lambda _: KINDS["mx"]) as server:
        assert set(resolver(server).resolve_now(["_a.b_.de", "-a.b-.de", "x" * 63 + ".de"]).values()) == {"mx"}


@pytest.mark.parametrize(
    ("domain", "asked"),
    [("bücher.de", "xn--bcher-kva.de"), ("straße.de", "xn--strae-oqa.de"), ("Acme.DE", "acme.de")],
)
def test_international_names_are_asked_for_in_their_ascii_form_and_answered_as_given(domain, asked):
    with DnsServer({asked: KINDS["mx"]}) as server:
        assert resolver(server).resolve_now([domain]) == {domain: "mx"}
    assert set(server.asked) == {asked}


@given(st.text(st.characters(codec="utf-8"), max_size=80))
@settings(max_examples=300)
def test_a_wire_form_always_fits_a_dns_packet(domain):
    name = wire_form(domain)
    assert name is None or (
        len(name) <= 253 and all(1 <= len(label) <= 63 for label in name.encode("ascii").split(b"."))
    )


def test_each_domain_is_asked_once_however_often_it_is_given():
    with DnsServer({"acme.de": KINDS["mx"]}) as server:
        resolver(server).resolve_now(["acme.de"] * 5)
    assert server.asked == {"acme.de": 1}


def test_nothing_to_ask_is_answered_with_nothing():
    with DnsServer({}) as server:
        assert resolver(server).resolve_now([]) == {}


def test_progress_counts_the_answered_domains_up_to_all_of_them():
    seen: list[int] = []
    with DnsServer(lambda _: KINDS["mx"]) as server:
        resolver(server, concurrency=3).resolve_now((f"d{i}.de" for i in range(20)), seen.append)
    assert seen == list(range(1, 21))


def test_one_real_exchanger_beside_a_null_mx_takes_mail():
    with DnsServer({"odd.de": Answer(mx=((0, ""), (10, "mx.odd.de")))}) as server:
        assert resolver(server).resolve_now(["odd.de"]) == {"odd.de": "mx"}


def test_a_domain_that_fails_for_its_address_only_is_unknown():
    asked = Counter()

    def zone(name):
        asked[name] += 1
        return KINDS["none"] if asked[name] == 1 else KINDS["servfail"]

    with DnsServer(zone) as server:
        assert resolver(server).resolve_now(["half.de"]) == {"half.de": "timeout"}


def test_a_slow_domain_is_waited_for_although_the_name_server_is_quick():
    asked = Counter()

    def zone(name):
        asked[name] += 1
        return KINDS["timeout"] if name == "slow.de" and asked[name] < 3 else KINDS["mx"]

    with DnsServer(zone) as server:
        names = [*(f"d{i}.de" for i in range(100)), "slow.de"]
        found = resolver(server, timeout=2.0, concurrency=1).resolve_now(names)
    assert set(found.values()) == {"mx"}


def test_a_domain_without_an_answer_gets_a_second_try_after_the_others():
    asked: list[str] = []

    def zone(name):
        asked.append(name)
        return KINDS["timeout"] if asked.count("late.de") == 1 and name == "late.de" else KINDS["mx"]

    with DnsServer(zone) as server:
        found = resolver(server, tries=2, concurrency=1).resolve_now(["late.de", "a.de", "b.de"])
    assert found == {"late.de": "mx", "a.de": "mx", "b.de": "mx"}
    assert asked == ["late.de", "a.de", "b.de", "late.de"]


def test_a_dead_name_server_is_given_up_long_before_the_last_domain():
    names = [f"d{i}.de" for i in range(500)]
    with DnsServer(lambda _: KINDS["timeout"]) as server:
        found = resolver(server, concurrency=25).resolve_now(names)
    assert found == dict.fromkeys(names, "timeout")
    assert 50 <= len(server.asked) <= 75


def test_silent_domains_among_living_ones_do_not_make_the_name_server_dead():
    names = [f"{kind}{i}.de" for i in range(30) for kind in ("dead", "live")]
    with DnsServer(lambda name: KINDS["timeout" if name.startswith("dead") else "mx"]) as server:
        found = resolver(server, concurrency=10).resolve_now(names)
    assert Counter(found.values()) == {"mx": 30, "timeout": 30}


def test_a_port_where_nobody_listens_leaves_everything_unknown():
    with DnsServer({}) as server:
        pass
    assert resolver(server).resolve_now(["acme.de", "b.de"]) == {"acme.de": "timeout", "b.de": "timeout"}


def test_a_second_name_server_answers_where_the_first_is_down():
    with DnsServer({}) as gone:
        pass
    with DnsServer({"acme.de": KINDS["mx"]}) as server:
        both = [f"127.0.0.1:{gone.port}", f"127.0.0.1:{server.port}"]
        assert MxResolver(both, timeout=QUICK).resolve_now(["acme.de"]) == {"acme.de": "mx"}


@pytest.mark.parametrize("nameserver", ["dns.example.net", "300.1.1.1", "127.0.0.1:port", "nämeserver"])
def test_a_name_server_that_is_not_an_address_is_named_with_the_right_form(nameserver):
    with pytest.raises(Misconfigured, match=nameserver) as caught:
        MxResolver([nameserver]).resolve_now(["acme.de"])
    assert "127.0.0.1:5353" in caught.value.hint


def test_the_name_servers_of_the_system_serve_where_none_are_given():
    # A name that no server needs to be asked for, so that the test stays on this machine.
    assert MxResolver().resolve_now(["not a name"]) == {"not a name": "nxdomain"}


def open_sockets():
    """Sockets of this process, as `socket:[inode]`."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(fd.readlink()))
    return {target for target in found if target.startswith("socket:")}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_a_cancelled_resolution_leaves_no_task_and_no_socket_behind():
    last_asked = threading.Event()

    def zone(name):
        if name == "d49.de":
            last_asked.set()
        return KINDS["timeout"]

    async def cancel_half_way(server):
        task = asyncio.create_task(resolver(server, timeout=5).resolve(f"d{i}.de" for i in range(50)))
        assert await asyncio.to_thread(last_asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with DnsServer(zone) as server:
        before = open_sockets()
        asyncio.run(cancel_half_way(server))
        deadline = time.monotonic() + 5
        while not open_sockets() <= before and time.monotonic() < deadline:
            pass  # c-ares closes on a thread of its own
        assert open_sockets() <= before


def test_the_responder_tells_another_implementation_the_same():
    zone = {"mx.de": KINDS["mx"], "a.de": KINDS["a"], "aaaa.de": KINDS["aaaa"], "null.de": KINDS["null_mx"]}
    with DnsServer(zone) as server:
        exchangers = udp(server, "MX.de").answer[0]
        assert sorted((mx.preference, mx.exchange.to_text()) for mx in exchangers) == [
            (10, "mx1.mail.example."),
            (20, "mx2.mail.example."),
        ]
        assert udp(server, "a.de", "A").answer[0][0].address == "192.0.2.1"
        assert udp(server, "a.de", "AAAA").answer == []
        assert udp(server, "aaaa.de", "AAAA").answer[0][0].address == "2001:db8::1"
        assert udp(server, "null.de").answer[0][0].exchange.to_text() == "."
        assert udp(server, "mx.de", "TXT").answer == []
        assert udp(server, "nowhere.de").rcode() == dns.rcode.NXDOMAIN
    assert server.asked == {"mx.de": 2, "a.de": 2, "aaaa.de": 1, "null.de": 1, "nowhere.de": 1}


def test_an_answer_too_long_for_udp_is_cut_and_comes_whole_over_tcp():
    with DnsServer({"large.de": KINDS["large"]}) as server:
        cut = udp(server, "large.de")
        assert cut.flags & dns.flags.TC
        assert cut.answer == []
        query = dns.message.make_query("large.de", "MX")
        whole = dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=2)
    assert len(whole.answer[0]) == 40


def test_a_silent_name_stays_silent_and_a_latency_passes_before_the_others_answer():
    with DnsServer({"mx.de": KINDS["mx"], "dead.de": KINDS["timeout"]}, latency=0.05) as server:
        began = time.monotonic()
        udp(server, "mx.de")
        assert time.monotonic() - began >= 0.05
        with pytest.raises(dns.exception.Timeout):
            dns.query.udp(dns.message.make_query("dead.de", "MX"), "127.0.0.1", port=server.port, timeout=0.1)


@given(st.binary(max_size=60))
def test_garbage_is_not_a_question(packet):
    found = question_of(packet)
    assert found is None or found[2] <= len(packet)


def test_garbage_gets_no_answer_and_the_next_question_does():
    with DnsServer({"acme.de": KINDS["mx"]}) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"garbage", ("127.0.0.1", server.port))
        client.sendto(struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0) + b"\0\0\x01\0\x01", ("127.0.0.1", server.port))
        assert len(udp(server, "acme.de").answer[0]) == 2


def test_a_port_in_use_is_refused():
    with DnsServer({}) as server, pytest.raises(OSError, match="in use"), DnsServer({}, port=server.port):
        pass


def test_a_zone_file_gives_an_answer_a_line(tmp_path):
    path = tmp_path / "zone"
    path.write_text("# seeded\nAcme.de mx\n\nb.de  timeout  # dead\n", encoding="utf-8")
    assert zone_from_file(path) == {"acme.de": KINDS["mx"], "b.de": KINDS["timeout"]}


@pytest.mark.parametrize("line", ["acme.de", "acme.de mxx", "acme.de mx mx"])
def test_a_wrong_line_of_a_zone_file_is_named(tmp_path, line):
    path = tmp_path / "zone"
    path.write_text(f"b.de mx\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=f"line 2: '{line}'"):
        zone_from_file(path)


def test_the_responder_runs_as_a_process_until_its_input_ends(tmp_path):
    path = tmp_path / "zone"
    path.write_text("".join(f"d{i}.de mx\n" for i in range(2000)), encoding="utf-8")
    command = [sys.executable, "-m", "touchline.sim.dns_server", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip()
        found = MxResolver([f"127.0.0.1:{port}"]).resolve_now(f"d{i}.de" for i in range(2000))
        process.stdin.close()
        assert process.wait(10) == 0
    assert Counter(found.values()) == {"mx": 2000}
