"""Bad input through sockets, where bodies are cut off and connections are reused: a sample of test_bad_input's."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import attacks
from tests.support.attacks import refused
from tests.support.every_route import EVENTS, fresh
from tests.support.house import Reply
from tests.support.serving import serving


class TestServer:
    def test_stays_up_and_answers_as_documented(self, database_dsn: str, tmp_path: Path):
        with (
            serving(tmp_path, "--demo", DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path)) as server,
            server.public() as public,
            server.operator() as operator,
        ):
            for client, path in (
                (public, "/account/wallets/topup"),
                (public, "/account/api-keys"),
                (operator, "/accounts"),
                (operator, "/rate-cards"),
                (operator, "/runs"),
            ):
                for attack in attacks.unreadable_bodies():
                    headers = {"Content-Type": "application/json", "Idempotency-Key": fresh()}
                    answer = client.post(path, content=attack.content, headers=headers)
                    reply = Reply(answer.status_code, answer.headers, answer.text)
                    refused(reply, attack.statuses, (path, attack.content[:20]))
                assert client.patch(path).status_code == 405
                assert client.post(path, content=b"{}", headers={"Authorization": "Bearer x"}).status_code == 401
            for wrong in ("%00", "%ff", "%ED%A0%80", "..%2f..%2fetc%2fpasswd", "x" * 5_000):
                assert public.get(f"/account/invoices/{wrong}").status_code == 404
                assert operator.get(f"/meters/{wrong}").status_code == 404
            events = [{"id": 7}, {"id": "\ud800", "source": 1}, [], None, 5, "x"]
            answer = operator.post("/events", content=json.dumps(events), headers={"Content-Type": EVENTS})
            assert answer.status_code == 200
            assert answer.json()["rejected"] == len(events)
            assert public.get("/account").status_code == 200
            assert operator.get("/check").json()["ok"] is True
            assert operator.get("/accounts").json()["meta"]["total"] == 1
