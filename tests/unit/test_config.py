"""Settings from the environment: defaults, files for secrets, and one line for each fault."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from billing.kit.config import ConfigError, Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings().shown():
        monkeypatch.delenv(name, raising=False)


class TestLoadSettings:
    def test_has_the_documented_defaults(self) -> None:
        settings = load_settings()
        assert (settings.host, settings.port, settings.plane) == ("127.0.0.1", 8080, "all")
        assert settings.currencies == ("USD", "KES", "ZAR", "NGN", "GHS", "TZS")
        assert settings.topup_limits_of("USD") == (Decimal("1.00"), Decimal("10000.00"))
        assert settings.close_grace_s == 3600

    def test_prefers_the_command_line_to_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINESERVE_PORT", "9000")
        assert load_settings(port=9001).port == 9001
        assert load_settings(port=None).port == 9000

    def test_takes_an_empty_variable_for_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "")
        assert load_settings().database_url is None

    def test_reads_limits_per_currency(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINESERVE_TOPUP_LIMITS", "KES:100-1000000, USD:5-50.50")
        settings = load_settings()
        assert settings.topup_limits_of("KES") == (Decimal(100), Decimal(1_000_000))
        assert settings.topup_limits_of("USD") == (Decimal(5), Decimal("50.50"))
        assert settings.topup_limits_of("ZAR") == settings.topup_limit_default

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("LINESERVE_PORT", "70000", "less than or equal to 65535"),
            ("LINESERVE_PLANE", "both", "'all', 'public' or 'operator'"),
            ("LINESERVE_CURRENCIES", "USD,usd", "usd is not a list of ISO 4217 codes"),
            ("LINESERVE_CURRENCIES", ",", "nothing is not a list"),
            ("LINESERVE_TOPUP_LIMITS", "USD:10-5", "is not a range of amounts"),
            ("LINESERVE_TOPUP_LIMITS", "USD:NaN-5", "is not a range of amounts"),
            ("LINESERVE_TOPUP_LIMIT_DEFAULT", "0-5", "is not a range of amounts"),
            ("LINESERVE_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "would believe everybody"),
            ("LINESERVE_TRUSTED_PROXIES", "proxy", "does not appear to be"),
            ("LINESERVE_CLOSE_GRACE_S", "-1", "greater than or equal to 0"),
        ],
    )
    def test_names_the_variable_that_cannot_be_used(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError) as caught:
            load_settings()
        assert str(caught.value).startswith(f"{name}: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


class TestFiles:
    def test_hold_a_value_as_container_secrets_do(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        secret = tmp_path / "url"
        secret.write_text("postgres://u:p@h/d\n")
        monkeypatch.setenv("DATABASE_URL_FILE", str(secret))
        url = load_settings().database_url
        assert url is not None
        assert url.get_secret_value() == "postgres://u:p@h/d"

    def test_that_cannot_be_read_are_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("LINESERVE_PORT_FILE", str(tmp_path / "missing"))
        with pytest.raises(ConfigError, match=r"LINESERVE_PORT_FILE: .*missing cannot be read"):
            load_settings()

    def test_beside_the_variable_itself_are_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("LINESERVE_PORT", "1")
        monkeypatch.setenv("LINESERVE_PORT_FILE", str(tmp_path / "port"))
        with pytest.raises(ConfigError, match="LINESERVE_PORT and LINESERVE_PORT_FILE are both set"):
            load_settings()


class TestShown:
    def test_hides_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres://u:hunter2@h/d")
        shown = load_settings().shown()
        assert shown["DATABASE_URL"] == "(hidden)"
        assert "hunter2" not in str(shown)

    def test_names_every_setting_with_its_variable(self) -> None:
        shown = load_settings().shown()
        assert len(shown) == len(Settings.model_fields)
        assert shown["LINESERVE_TOPUP_LIMIT_DEFAULT"] == "1.00-10000.00"
        assert shown["LINESERVE_CURRENCIES"] == "USD,KES,ZAR,NGN,GHS,TZS"

    def test_can_be_read_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINESERVE_TOPUP_LIMITS", "KES:100-200")
        monkeypatch.setenv("LINESERVE_TRUSTED_PROXIES", "10.0.0.0/8")
        before = load_settings()
        for name, value in before.shown().items():
            monkeypatch.setenv(name, value)
        assert load_settings() == before
