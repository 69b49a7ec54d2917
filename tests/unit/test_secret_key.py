"""The installation's secret key: made once, readable by its owner alone, and never shown."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billing.kit.config import ConfigError, Settings, load_settings
from billing.kit.secret_key import FILE, load_secret_key

GIVEN = "a secret key of at least 32 characters"


def settings(home: Path, **given: object) -> Settings:
    return load_settings(home=home, **given)


class TestLoadSecretKey:
    def test_is_made_once_though_many_begin_at_once(self, tmp_path: Path) -> None:
        home = settings(tmp_path / "home")
        with ThreadPoolExecutor(8) as threads:
            keys = {key.value for key in threads.map(load_secret_key, [home] * 32)}
        assert len(keys) == 1
        assert len(keys.pop() or b"") == 32
        assert [path.name for path in (tmp_path / "home").iterdir()] == [FILE]
        assert stat.S_IMODE((tmp_path / "home" / FILE).stat().st_mode) == 0o600

    def test_is_the_settings_where_they_have_one(self, tmp_path: Path) -> None:
        first, second = (load_secret_key(settings(tmp_path / name, secret_key=GIVEN)) for name in ("a", "b"))
        assert first.value == second.value
        assert first.fingerprint == second.fingerprint != load_secret_key(settings(tmp_path)).fingerprint
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize("text", ["", "no key", "00" * 31, "zz" * 32])
    def test_is_none_where_its_file_holds_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / FILE).write_text(text, encoding="ascii")
        key = load_secret_key(settings(tmp_path))
        assert (key.value, key.fingerprint) == (None, None)

    def test_is_none_where_none_can_be_kept(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("a file", encoding="ascii")
        assert load_secret_key(settings(tmp_path / "home")).value is None

    def test_is_shown_nowhere(self, tmp_path: Path) -> None:
        given = settings(tmp_path, secret_key=GIVEN)
        assert given.shown()["LINESERVE_SECRET_KEY"] == "(hidden)"
        assert repr(load_secret_key(given)) == "SecretKey(hidden)"

    def test_is_refused_when_it_is_short(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="LINESERVE_SECRET_KEY"):
            settings(tmp_path, secret_key="short")

    def test_lets_webhooks_reach_no_network_that_is_everything(self, tmp_path: Path) -> None:
        for network in ("0.0.0.0/0", "::/0", "nonsense"):
            with pytest.raises(ConfigError, match="LINESERVE_WEBHOOK_NETWORKS"):
                settings(tmp_path, webhook_networks=(network,))
