"""quality.md X11: nobody reaches our own network through a webhook: 0 connections to the canary, whatever URL or name server.

The canary listens on this machine, with TLS and without; a sender that dialled what it refuses would come out there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
import pytest_asyncio

from billing.kit.auth import read_networks
from billing.webhooks import HttpsSender
from billing.webhooks.rules.addresses import is_public
from billing.webhooks.rules.urls import read_url, url_reason
from tests.support.sink import HOST, PUBLIC_ADDRESS, Names, Sink, Wire, open_sink, response, sender_to, trust

# URLs that are refused for what they are, with PORT for the canary's.
FORMS = [
    "http://hooks.example.com/",
    "HTTP://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_",
    "//hooks.example.com/",
    "hooks.example.com",
    "https:hooks.example.com/",
    "https:///hooks.example.com/",
    "https://",
    "https://user@hooks.example.com/",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1:PORT/",
    "https://hooks.example.com:443@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT#@hooks.example.com/",
    "https://hooks.example.com/#fragment",
    "https://127.0.0.1:PORT\\@hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1:PORT/",
    "https://hooks.example.com/\r\nHost: 127.0.0.1",
    "https://hooks.example.com/ x",
    " https://hooks.example.com/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:25/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:080/",
    "https://hooks.example.com:/",
    "https://hooks.example.com.:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://localhost:PORT/",
    "https://LOCALHOST:PORT/",
    "https://anything.localhost:PORT/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://intranet/",
    "https://hooks_.example.com/",
    "https://-hooks.example.com/",
    "https://hooks..example.com/",
    "https://hooks.example.com%00.evil.example/",
    "https://127.0.0.1%2f@hooks.example.com/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/",
    "https://①②⑦.⓪.⓪.①:PORT/",
    "https://127。0。0。1:PORT/",
    "https://ｅxample.com/",
    "https://bücher.example/",
    # Addresses in other notations than the plain one.
    "https://2130706433:PORT/",
    "https://0x7f000001:PORT/",
    "https://0x7f.0.0.1:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://017700000001:PORT/",
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://0:PORT/",
    "https://127.0.0.01:PORT/",
    "https://127.0.0.0x1:PORT/",
    "https://127.0.0.1.1:PORT/",
    "https://256.0.0.1:PORT/",
    "https://example.0x7f:PORT/",
    "https://[::1%25lo]:PORT/",
    "https://[fe80::1%eth0]:PORT/",
    "https://[127.0.0.1]:PORT/",
    "https://[::1:PORT/",
    "https://::1:PORT/",
    "https://[v1.fe80::a]:PORT/",
]
# Addresses that are not public, in URLs and as what a name server answers.
ADDRESSES = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", PUBLIC_ADDRESS, "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]


@dataclass
class Canary:
    """Listens with TLS and without; `wire` dials whatever is asked for on it, and notes it."""

    secure: Sink
    plain: Sink
    wire: Wire

    @property
    def connections(self) -> int:
        return self.secure.connections + self.plain.connections

    def urls(self, text: str) -> list[str]:
        return [text.replace("PORT", str(sink.port)) for sink in (self.secure, self.plain)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def canary() -> AsyncIterator[Canary]:
    async with open_sink(HOST, "127.0.0.1") as secure, open_sink(is_tls=False) as plain:
        yield Canary(secure, plain, Wire(secure.port))


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def outcomes(sender: HttpsSender, urls: Sequence[str]) -> set[tuple[bool, str | None]]:
    """Whether each URL is allowed at its creation, and what becomes of an attempt."""
    found: set[tuple[bool, str | None]] = set()
    for url in urls:
        found.add((await sender.is_allowed(url), (await sender.send(url=url, headers={}, body=b"{}")).reason))
    return found


class TestCorpus:
    @pytest.mark.parametrize("url", FORMS)
    async def test_refuses_the_form_of(self, canary: Canary, url: str) -> None:
        before = canary.connections
        sender = HttpsSender(trust=trust(), resolve=Names(), dial=canary.wire)
        assert all(url_reason(one) for one in canary.urls(url))
        assert await outcomes(sender, canary.urls(url)) == {(False, "url_refused")}
        assert (canary.connections, canary.wire.dialled) == (before, [])

    @pytest.mark.parametrize("address", ADDRESSES)
    async def test_refuses_the_address(self, canary: Canary, address: str) -> None:
        before = canary.connections
        written = f"[{address}]" if ":" in address else address
        names = Names({"evil.example": [[address]], "mixed.example": [[PUBLIC_ADDRESS, address]]})
        sender = HttpsSender(trust=trust(), resolve=names, dial=canary.wire)
        urls = [f"https://{host}:{canary.secure.port}/" for host in (written, "evil.example", "mixed.example")]
        assert await outcomes(sender, urls) == {(False, "url_refused")}
        assert (canary.connections, canary.wire.dialled) == (before, [])

    async def test_would_come_out_at_the_canary_if_nothing_were_refused(self, canary: Canary) -> None:
        before = canary.connections
        sender = HttpsSender(trust=trust(), allowed=read_networks(["127.0.0.0/8"]))
        url = f"https://127.0.0.1:{canary.secure.port}/"
        assert await outcomes(sender, [url]) == {(True, None)}
        assert canary.connections == before + 1

    async def test_holds_enough(self) -> None:
        assert len(FORMS) + len(ADDRESSES) >= 60

    async def test_lets_public_addresses_through(self) -> None:
        assert all(is_public(ip_address(text)) for text in PUBLIC)
        for text in PUBLIC:
            assert url_reason(f"https://[{text}]:8443/x" if ":" in text else f"https://{text}/x?y=1") is None

    async def test_never_lets_metadata_through_whatever_is_allowed(self) -> None:
        everything = read_networks(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"])
        for text in ("169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1", "fd00:ec2::254", "fe80::1", "::"):  # noqa: S104
            assert not is_public(ip_address(text), allowed=everything)
        assert is_public(ip_address("10.1.2.3"), allowed=read_networks(["10.1.0.0/16"]))
        assert not is_public(ip_address("10.2.2.3"), allowed=read_networks(["10.1.0.0/16"]))


class TestConnection:
    """What is vetted is what is dialled, at each attempt anew."""

    async def test_sends_to_the_vetted_address_in_the_hosts_name(self) -> None:
        async with open_sink() as sink:
            sender = HttpsSender(trust=trust(), resolve=Names(), dial=(wire := Wire(sink.port)))
            url = f"https://{HOST}:8443/path?x=1"
            outcome = await sender.send(url=url, headers={"webhook-id": "evt_1"}, body=b"{}")
            assert (outcome.status_code, outcome.reason) == (200, None)
            assert wire.dialled == [PUBLIC_ADDRESS]
            [request] = sink.requests
            assert (request.path, request.body) == ("/path?x=1", b"{}")
            assert (request.headers["host"], request.headers["webhook-id"]) == (f"{HOST}:8443", "evt_1")

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
    async def test_sends_to_an_address_that_stands_for_itself(self, address: str) -> None:
        async with open_sink(address) as sink:
            sender = HttpsSender(trust=trust(), resolve=(names := Names()), dial=(wire := Wire(sink.port)))
            host = f"[{address}]" if ":" in address else address
            outcome = await sender.send(url=f"https://{host}:8443/", headers={}, body=b"{}")
            assert (outcome.reason, wire.dialled, names.asked) == (None, [address], [])
            assert sink.requests[0].headers["host"] == f"{host}:8443"

    async def test_is_not_fooled_by_a_name_that_answers_otherwise_the_second_time(self, canary: Canary) -> None:
        before = canary.connections
        names = Names({"rebind.example": [[PUBLIC_ADDRESS], ["127.0.0.1"]]})
        sender = HttpsSender(trust=trust(), resolve=names, dial=canary.wire)
        url = f"https://rebind.example:{canary.secure.port}/"
        assert await sender.is_allowed(url)
        assert (await sender.send(url=url, headers={}, body=b"")).reason == "url_refused"
        assert (canary.connections, names.asked) == (before, ["rebind.example"] * 2)

    async def test_looks_a_name_up_once_for_each_connection(self) -> None:
        names = Names({HOST: [[PUBLIC_ADDRESS], ["127.0.0.1"]]})
        async with open_sink() as sink:
            outcome = await sender_to(sink, names=names).send(url=f"https://{HOST}/", headers={}, body=b"")
        assert (outcome.reason, names.asked) == (None, [HOST])

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_follows_no_redirect(self, canary: Canary, status: int) -> None:
        before = canary.connections
        async with open_sink() as sink:
            sink.respond = lambda _: response(status, Location=f"https://127.0.0.1:{canary.secure.port}/")
            outcome = await sender_to(sink).send(url=f"https://{HOST}/", headers={}, body=b"")
        assert (outcome.status_code, outcome.reason, canary.connections) == (status, "redirected", before)

    async def test_asks_no_proxy_of_the_environment(self, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
        before = canary.connections
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.plain.port}")
        async with open_sink() as sink:
            outcome = await sender_to(sink).send(url=f"https://{HOST}/", headers={}, body=b"")
        assert (outcome.reason, canary.connections) == (None, before)

    async def test_tells_a_certificate_that_is_not_the_hosts(self) -> None:
        async with open_sink("other.example.com") as sink:
            outcome = await sender_to(sink).send(url=f"https://{HOST}/", headers={}, body=b"")
            assert (outcome.reason, sink.requests) == ("not_trusted", [])

    async def test_tells_one_that_nobody_vouches_for(self) -> None:
        async with open_sink() as sink:
            sender = HttpsSender(resolve=Names(), dial=Wire(sink.port))
            outcome = await sender.send(url=f"https://{HOST}/", headers={}, body=b"")
            assert (outcome.reason, sink.requests) == ("not_trusted", [])

    async def test_tells_who_does_not_listen_or_speak_tls(self, canary: Canary) -> None:
        closed = HttpsSender(trust=trust(), resolve=Names(), dial=Wire(1))
        assert (await closed.send(url=f"https://{HOST}/", headers={}, body=b"")).reason == "unreachable"
        plain = HttpsSender(trust=trust(), resolve=Names(), dial=Wire(canary.plain.port), timeout_s=0.5)
        assert (await plain.send(url=f"https://{HOST}/", headers={}, body=b"")).reason in {"not_trusted", "timed_out"}

    async def test_waits_no_longer_than_its_time(self) -> None:
        async with open_sink() as sink:
            sink.hold_s = 5
            outcome = await sender_to(sink, timeout_s=0.3).send(url=f"https://{HOST}/", headers={}, body=b"")
        assert outcome.reason == "timed_out"
        assert 250 < outcome.duration_ms < 2_000

    async def test_reads_a_bounded_part_of_an_answer(self) -> None:
        async with open_sink() as sink:
            sink.respond = lambda _: response(200, bytes(10_000_000))
            outcome = await asyncio.wait_for(
                sender_to(sink).send(url=f"https://{HOST}/", headers={}, body=b""), timeout=10
            )
        assert (outcome.status_code, outcome.reason) == (200, None)

    async def test_takes_garbage_for_no_answer(self) -> None:
        async with open_sink() as sink:
            for garbage in (b"220 mail ESMTP\r\n\r\n", b"", b"HTTP/1.1 2 \r\n\r\n", b"\x00" * 300_000):
                sink.respond = lambda _, garbage=garbage: garbage
                outcome = await sender_to(sink, timeout_s=2).send(url=f"https://{HOST}/", headers={}, body=b"")
                assert (outcome.status_code, outcome.reason) == (None, "unreachable")

    async def test_passes_on_what_the_receiver_asks_to_wait(self) -> None:
        async with open_sink() as sink:
            sink.respond = lambda _: response(503, Retry_After="600")
            outcome = await sender_to(sink).send(url=f"https://{HOST}/", headers={}, body=b"")
        assert (outcome.status_code, outcome.reason, outcome.retry_after) == (503, "status", "600")


class TestUrl:
    async def test_is_taken_apart_in_one_way(self) -> None:
        target = read_url("HTTPS://Hooks.Example.com:8443?x=1")
        assert target is not None
        assert (target.host, target.port, target.target, target.authority) == (
            "hooks.example.com",
            8443,
            "/?x=1",
            "hooks.example.com:8443",
        )
        target = read_url("https://[2606:4700:4700::1111]/a")
        assert target is not None
        assert (target.host, target.authority) == ("2606:4700:4700::1111", "[2606:4700:4700::1111]")
