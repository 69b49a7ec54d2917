"""S5: three times what the program can serve, for minutes, and ten seconds later all is as before. X29: an account that calls far
beyond its limit is refused, and others hardly wait longer."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.serving import Serving, serving

ROOT = Path(__file__).parents[2]
OVERLOAD_S, PEAK_S, REST_S = 300, 10, 10
GOODPUT, P99_S, GROWTH = 0.8, 2.0, 1.25
PAIRS, PAIR_S = 5, 8
NOISE_PER_S = 333  # 20 times its 1,000 an hour, within a minute
SLOWER = 1.3


@dataclass(frozen=True)
class Told:
    """What a process of callers heard."""

    sent: int
    seconds: float
    ended: dict[str, int]
    p50_s: float
    p99_s: float

    @property
    def good_per_s(self) -> float:
        return self.ended.get("200", 0) / self.seconds


def offering(server: Serving, key: str, *, per_s: float, lasts_s: float) -> subprocess.Popen[str]:
    """Callers of GET /v1/account, beside us."""
    port = str(urlsplit(server.ready["base_url"]).port)
    arguments = [port, "/v1/account", key, str(per_s), str(lasts_s)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.offered", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def told(callers: subprocess.Popen[str]) -> Told:
    output, _ = callers.communicate(timeout=OVERLOAD_S + 120)
    return Told(**json.loads(output))


def offer(server: Serving, key: str, *, per_s: float, lasts_s: float) -> Told:
    return told(offering(server, key, per_s=per_s, lasts_s=lasts_s))


def resident_kb(server: Serving) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def open_account(server: Serving, name: str) -> str:
    """Its key."""
    body = {"email": f"{name}@example.com", "name": name, "currency": "USD"}
    with server.operator() as operator:
        made = operator.post("/accounts", json=body, headers={"Idempotency-Key": name})
    assert made.status_code == 201, made.text
    return made.json()["api_key"]["key"]


@pytest.mark.nightly
class TestOverload:
    @pytest.mark.xfail(reason="calls are bounded, a flood of new connections is not", strict=False)
    def test_is_served_as_far_as_it_goes_and_forgotten(self, database_dsn: str, tmp_path: Path) -> None:
        settings = {"LINESERVE_RATE_LIMIT_GENERAL": "1000000000", "DATABASE_URL": database_dsn}
        with serving(tmp_path, LINESERVE_HOME=str(tmp_path), **settings) as server:
            key = open_account(server, "a")
            offer(server, key, per_s=0, lasts_s=3)
            peak = offer(server, key, per_s=0, lasts_s=PEAK_S)
            before_kb = resident_kb(server)
            beyond = offer(server, key, per_s=3 * peak.good_per_s, lasts_s=OVERLOAD_S)
            after_kb = resident_kb(server)
            rested = offer(server, key, per_s=0, lasts_s=REST_S)
            sys.stdout.write(
                f"peak {peak.good_per_s:.0f}/s, p99 {peak.p99_s:.3f} s; three times that for {OVERLOAD_S} s: {beyond.ended}, "
                f"{beyond.good_per_s:.0f}/s, p99 {beyond.p99_s:.2f} s, {before_kb} to {after_kb} kB; "
                f"then {rested.good_per_s:.0f}/s, p99 {rested.p99_s:.3f} s\n"
            )
            assert not {"500", "502"} & set(beyond.ended)
            assert beyond.good_per_s >= GOODPUT * peak.good_per_s
            assert beyond.p99_s <= P99_S
            assert after_kb <= GROWTH * before_kb
            assert rested.good_per_s >= GOODPUT * peak.good_per_s


@pytest.mark.nightly
class TestNoisyAccount:
    def test_is_refused_and_others_hardly_wait_longer(self, database_dsn: str, tmp_path: Path) -> None:
        """Quiet and noisy in turn; the median of the ratios."""
        settings = {"DATABASE_URL": database_dsn, "LINESERVE_HOME": str(tmp_path)}
        ratios: list[float] = []
        with serving(tmp_path, **settings) as server:
            noisy, others = open_account(server, "noisy"), [open_account(server, f"o{n}") for n in range(2 * PAIRS)]
            heard = offer(server, noisy, per_s=NOISE_PER_S, lasts_s=4)
            assert heard.ended["429"] > 0
            for quiet, beside in zip(others[:PAIRS], others[PAIRS:], strict=True):
                alone = offer(server, quiet, per_s=50, lasts_s=PAIR_S)
                callers = offering(server, noisy, per_s=NOISE_PER_S, lasts_s=PAIR_S + 2)
                disturbed = offer(server, beside, per_s=50, lasts_s=PAIR_S)
                assert set(told(callers).ended) == {"429"}
                assert set(alone.ended) == set(disturbed.ended) == {"200"}
                ratios.append(disturbed.p99_s / alone.p99_s)
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        sys.stdout.write(f"others' p99 beside {NOISE_PER_S} refused calls a second: {shown} times\n")
        assert statistics.median(ratios) <= SLOWER
