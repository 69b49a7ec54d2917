"""Rules of webhooks: schedule, signatures, what a message says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import standardwebhooks

from billing.core import standard_webhooks
from billing.webhooks.model import events
from billing.webhooks.rules import schedule, signing, telling

NOW = datetime(2024, 2, 1, 10, 0, tzinfo=UTC)
MASTER, ENDPOINT = bytes(range(32)), UUID(int=5)


class TestSchedule:
    def test_tries_ten_times_within_a_little_over_three_days(self) -> None:
        at, ats = NOW, [NOW]
        for tries in range(1, schedule.TRIES_MAX):
            next_at = schedule.next_try_at(tries, now=at, retry_after_s=None)
            assert next_at is not None
            ats.append(at := next_at)
        assert len(ats) == 10
        assert timedelta(days=3) < ats[-1] - NOW < timedelta(days=3, hours=4)
        assert schedule.next_try_at(10, now=at, retry_after_s=None) is None
        assert schedule.next_try_at(11, now=at, retry_after_s=None) is None  # attempts that were lost count too

    @pytest.mark.parametrize(
        ("asked_s", "waited"),
        [(1, timedelta(minutes=5)), (600, timedelta(minutes=10)), (10**9, timedelta(hours=24))],
    )
    def test_waits_longer_if_asked_to_within_bounds(self, asked_s: int, waited: timedelta) -> None:
        assert schedule.next_try_at(2, now=NOW, retry_after_s=asked_s) == NOW + waited

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("120", 120),
            ("Thu, 01 Feb 2024 10:02:00 GMT", 120),
            ("Thu, 01 Feb 2024 09:00:00 GMT", 0),
            ("9" * 39, 10**9),
            ("-5", None),
            ("soon", None),
            ("Thu, 99 Feb 2024 10:02:00 GMT", None),
            ("١٢", None),
            ("1" * 50, None),
            (None, None),
        ],
    )
    def test_reads_what_a_receiver_asks_for(self, header: str | None, seconds: int | None) -> None:
        assert schedule.read_retry_after(header, now=NOW) == seconds

    def test_disables_after_five_days_of_failures_alone(self) -> None:
        def failed(days: int, failures: int) -> bool:
            return schedule.has_failed_too_long(failing_since=NOW - timedelta(days=days), failures=failures, now=NOW)

        assert (failed(5, 12), failed(4, 500), failed(9, 11)) == (True, False, False)


class TestSignature:
    def sign(self, *numbers: int, at: datetime, body: bytes = b'{"a":1}') -> dict[str, str]:
        secrets = [signing.secret_bytes(MASTER, endpoint_id=ENDPOINT, number=number) for number in numbers]
        timestamp = int(at.timestamp())
        signature = standard_webhooks.sign(secrets, message_id="evt_1", timestamp=timestamp, body=body)
        return {"webhook-id": "evt_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}

    def receiver(
        self, number: int = 1, *, master: bytes = MASTER, endpoint: UUID = ENDPOINT
    ) -> standardwebhooks.Webhook:
        return standardwebhooks.Webhook(
            standard_webhooks.show_secret(signing.secret_bytes(master, endpoint_id=endpoint, number=number))
        )

    def test_is_verified_by_the_receivers_library(self) -> None:
        assert self.receiver().verify(b'{"a":1}', self.sign(1, at=datetime.now(UTC))) == {"a": 1}

    def test_is_verified_with_either_secret_while_two_overlap(self) -> None:
        headers = self.sign(2, 1, at=datetime.now(UTC))
        for number in (1, 2):
            assert self.receiver(number).verify(b'{"a":1}', headers) == {"a": 1}
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            self.receiver(3).verify(b'{"a":1}', headers)

    @pytest.mark.parametrize(
        "wrong",
        ["body", "id", "an old time", "a time ahead", "another endpoint", "another installation", "no signature"],
    )
    def test_is_refused_when_anything_differs(self, wrong: str) -> None:
        now = datetime.now(UTC)
        off = {"an old time": timedelta(minutes=-6), "a time ahead": timedelta(minutes=6)}.get(wrong, timedelta(0))
        headers, body = self.sign(1, at=now + off), b'{"a":1}'
        if wrong == "body":
            body = b'{"a":2}'
        if wrong == "id":
            headers["webhook-id"] = "evt_2"
        if wrong == "no signature":
            headers["webhook-signature"] = ""
        receiver = self.receiver(
            endpoint=UUID(int=6) if wrong == "another endpoint" else ENDPOINT,
            master=bytes(32) if wrong == "another installation" else MASTER,
        )
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            receiver.verify(body, headers)

    def test_has_two_secrets_for_a_day_after_a_rotation(self) -> None:
        day = timedelta(hours=24)
        assert signing.secret_numbers(1, rotated_at=None, now=NOW) == (1,)
        assert signing.secret_numbers(2, rotated_at=NOW, now=NOW) == (2, 1)
        assert signing.secret_numbers(3, rotated_at=NOW, now=NOW + day - timedelta(microseconds=1)) == (3, 2)
        assert signing.secret_numbers(3, rotated_at=NOW, now=NOW + day) == (3,)


class TestTelling:
    def test_says_type_instant_and_the_object_with_its_version(self) -> None:
        payload = {"amount": "1.50", "paid_at": None, "id": "x", "version": 9}
        body = telling.body_of(type="invoice.paid", at=NOW, object_id="inv_1", version=7, payload=payload)
        assert msgspec.json.decode(body) == {
            "type": "invoice.paid",
            "timestamp": "2024-02-01T10:00:00Z",
            "data": {"id": "inv_1", "version": 7, "amount": "1.50", "paid_at": None},
        }

    @pytest.mark.parametrize(
        ("type", "payload", "is_told"),
        [
            ("invoice.paid", {}, True),
            ("wallet.credited", {}, False),
            ("resource.deletion_requested", {}, False),
            ("webhook.test", {}, False),
            ("alert.fired", {}, False),
            ("alert.fired", {"methods": ["email"]}, False),
            ("alert.fired", {"methods": ["email", "webhook"]}, True),
            ("budget.fired", {"methods": "webhook"}, False),
        ],
    )
    def test_tells_public_events_and_alerts_that_ask_for_it(
        self, type: str, payload: dict[str, object], is_told: bool
    ) -> None:
        assert telling.is_told(type, payload) is is_told

    def test_has_filters_for_types_and_groups(self) -> None:
        assert {"*", "invoice.*", "invoice.paid", "payment_method.*"} < set(events.FILTERS)
        assert not {"webhook.test", "wallet.credited", "resource.*"} & set(events.FILTERS)
