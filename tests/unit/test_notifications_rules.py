"""When messages are sent and by which channels, without I/O; and what a configuration of channels must hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.app import messaging
from billing.kit.config import ConfigError, load_settings
from billing.notifications.model import QuietHours, Settings
from billing.notifications.rules import reaching, timing

NIGHT = QuietHours(start=time(21), end=time(7))
ZONES = ("Africa/Nairobi", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
MINUTE = timedelta(minutes=1)
clocks = st.times().map(lambda one: one.replace(second=0, microsecond=0))
instants = st.datetimes(datetime(2023, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  made aware there


def until(instant: str, zone: str, quiet: QuietHours = NIGHT) -> str | None:
    """Until when it is quiet at an instant, as the clocks of the zone show it."""
    found = timing.quiet_until(datetime.fromisoformat(instant), quiet=quiet, timezone=zone)
    return found and found.astimezone(ZoneInfo(zone)).isoformat()


class TestQuietHours:
    @pytest.mark.parametrize(
        ("instant", "ends"),
        [
            ("2024-02-01T17:59:59+00:00", None),
            ("2024-02-01T18:00:00+00:00", "2024-02-02T07:00:00+03:00"),
            ("2024-02-01T22:30:15+00:00", "2024-02-02T07:00:00+03:00"),
            ("2024-02-02T03:59:59+00:00", "2024-02-02T07:00:00+03:00"),
            ("2024-02-02T04:00:00+00:00", None),
        ],
    )
    def test_begin_and_end_by_the_accounts_clocks(self, instant: str, ends: str | None) -> None:
        assert until(instant, "Africa/Nairobi") == ends

    def test_follow_clocks_that_change(self) -> None:
        assert until("2024-03-31T00:30:00+00:00", "Europe/Berlin") == "2024-03-31T07:00:00+02:00"
        assert until("2024-10-27T00:30:00+00:00", "Europe/Berlin") == "2024-10-27T07:00:00+01:00"

    def test_that_end_in_an_hour_that_is_skipped_end_after_it(self) -> None:
        quiet = QuietHours(start=time(22), end=time(2, 30))
        assert until("2024-03-31T00:59:00+00:00", "Europe/Berlin", quiet) == "2024-03-31T03:00:00+02:00"

    def test_are_none_where_start_is_end(self) -> None:
        assert until("2024-02-01T22:30:15+00:00", "UTC", QuietHours(start=time(9), end=time(9))) is None

    @given(instants, st.builds(QuietHours, start=clocks, end=clocks), st.sampled_from(ZONES))
    def test_end_at_the_first_minute_that_is_not_quiet(self, now: datetime, quiet: QuietHours, zone: str) -> None:
        end = timing.quiet_until(now, quiet=quiet, timezone=zone)
        assert (end is not None) == timing.is_quiet(now, quiet=quiet, timezone=zone)
        if end is not None:
            assert now < end <= now + timedelta(hours=26)
            assert not timing.is_quiet(end, quiet=quiet, timezone=zone)
            assert timing.is_quiet(end - MINUTE, quiet=quiet, timezone=zone)


class TestSchedule:
    def test_is_that_of_the_page(self) -> None:
        now, tried_at = datetime(2024, 2, 1, tzinfo=UTC), list[timedelta | None]()
        for tries in range(1, 10):
            following = timing.next_attempt_at(tries, now=now)
            tried_at.append(following and following - now)
        minutes = [None if pause is None else pause.total_seconds() / 60 for pause in tried_at]
        assert minutes == [1, 5, 30, 120, 360, 720, 1440, None, None]


class TestMethods:
    @pytest.mark.parametrize("template", sorted(reaching.CATEGORIES))
    def test_of_what_guards_the_account_have_e_mail_whatever_is_set(self, template: str) -> None:
        everything_off = Settings(email_off=frozenset(reaching.CATEGORIES.values()))
        is_always = reaching.CATEGORIES[template] in {"invoices", "security", "account"}
        assert ("email" in reaching.methods_of(template, everything_off)) == is_always
        assert reaching.methods_of(template, Settings()) == ("email",)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("variables", "named"),
        [
            ({"SMTP_HOST": "mail.example.com"}, "SMTP_FROM"),
            ({"SMTP_HOST": "mail.example.com", "SMTP_FROM": "no address"}, "SMTP_FROM"),
            (
                {"SMTP_HOST": "m.example.com", "SMTP_FROM": "a@b.example", "SMTP_TLS": "none", "SMTP_USERNAME": "u"},
                "SMTP_TLS",
            ),
            ({"SMS_GATEWAY": "twilio", "SMS_ACCOUNT": "AC1", "SMS_SECRET": "s"}, "SMS_FROM"),
            ({"SMS_GATEWAY": "africas_talking", "SMS_ACCOUNT": "acme"}, "SMS_SECRET"),
            ({"SMS_BASE_URL": "ftp://example.com"}, "SMS_BASE_URL"),
        ],
    )
    def test_is_refused_where_something_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"LINESERVE_{name}", value)
        with pytest.raises(ConfigError, match=f"LINESERVE_{named}"):
            load_settings()

    def test_makes_the_channels_that_it_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nothing = messaging.make_mailroom(load_settings())
        assert (nothing.email, nothing.sms) == (None, None)
        for gateway in ("twilio", "africas_talking"):
            variables = {
                "SMTP_HOST": "localhost",
                "SMTP_FROM": "billing@lineserve.example",
                "SMS_GATEWAY": gateway,
                "SMS_ACCOUNT": "acme",
                "SMS_SECRET": "secret",
                "SMS_FROM": "LINESERVE",
                "MESSAGES_AT_ONCE": "3",
            }
            for name, value in variables.items():
                monkeypatch.setenv(f"LINESERVE_{name}", value)
            settings = load_settings()
            made = messaging.make_mailroom(settings)
            assert made.email is not None
            assert made.sms is not None
            assert (made.email.channel.gateway, made.sms.channel.gateway, made.sms.at_once) == ("smtp", gateway, 3)
            assert settings.shown()["LINESERVE_SMS_SECRET"] == "(hidden)"
