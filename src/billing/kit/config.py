"""The configuration: environment variables with the prefix LINESERVE_, and DATABASE_URL.

A variable NAME may be given as NAME_FILE instead: the path of a file that holds the value, as container secrets do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from billing.core import money, standard_webhooks

PREFIX = "LINESERVE_"
_FILE = "_file"
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_ADDRESS = r"^[^@\s<>\"\x00-\x1f]{1,64}@[^@\s<>\"\x00-\x1f]{1,190}$"
_BASE_URL = r"^https?://[^\s/]+(/[^\s]*)?$"
_HOST_NAMES = {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104  only compared, to print an address one can open
_LOOPBACK = {None, "localhost", "127.0.0.1", "::1"}
# What the address of a Redis or Valkey may begin with, and what its client calls that.
_SHARED_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "unix": "unix",
}

Plane = Literal["all", "public", "operator"]


class ConfigError(Exception):
    """A variable cannot be used; the message is one line that names it."""


class _Environment(EnvSettingsSource):
    """The environment, with every NAME_FILE of ours read into NAME."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = _with_files(self.env_vars)


def _with_files(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    read = dict(variables)
    for name, path in variables.items():
        target = name.removesuffix(_FILE)
        if target == name or not target.startswith((PREFIX.lower(), "database_url")) or not path:
            continue
        if target in variables:
            raise ConfigError(f"{target.upper()} and {name.upper()} are both set: keep one")
        try:
            read[target] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name.upper()}: {path} cannot be read: {error}") from error
    return read


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _default_home() -> Path:
    return Path("/var/lib/lineserve") if os.getuid() == 0 else Path.home() / ".lineserve"


class Settings(BaseSettings):
    """Everything that can be set from outside, with its default. `billing config show` prints it."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    home: Path = Field(default_factory=_default_home, description="where the embedded database and the demo keys live")
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", f"{PREFIX}DATABASE_URL"),
        description="PostgreSQL 15 to 18 to use instead of the embedded one",
    )
    database_pool_size: int = Field(default=16, ge=2, le=500, description="connections per process")
    database_wait_s: float = Field(
        default=2.5, gt=0, le=60, description="how long a call waits for the database in all; then it is answered 503"
    )
    postgres_bin_dir: Path | None = Field(default=None, description="PostgreSQL programs of the embedded database")
    database_login: str | None = Field(default=None, description="whom the embedded database runs as, started by root")

    allow_unsafe_database: bool = Field(
        default=False, description="start on a database that may lose what it acknowledged; only for tests"
    )

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port; 0 takes a free one")
    operator_port: int | None = Field(
        default=None, ge=0, le=65535, description="a listener of its own for the operator API"
    )
    plane: Plane = Field(default="all", description="which API is served: all, public or operator")
    base_url: str | None = Field(default=None, description="where the public API is reached from outside")
    cors_origins: Words = Field(
        default=(), description="origins whose pages may call from a browser, such as https://console.example.com"
    )
    trusted_proxies: Words = Field(
        default=(), description="addresses or networks whose X-Forwarded-For is believed, separated by commas"
    )

    calls_at_once: int = Field(
        default=512,
        ge=1,
        description="calls under way in a process, of reads two for each of its database connections at most; more wait for 1 s "
        "and are answered 503 then",
    )
    connections_at_once: int = Field(
        default=4096, ge=1, le=100_000, description="connections of a listener; more wait outside until one ends"
    )

    rate_limit_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey that API processes share; without it one process counts in its memory",
    )
    rate_limit_general: int = Field(default=1000, ge=1, description="calls of a key within an hour")
    rate_limit_billing: int = Field(default=100, ge=1, description="of them, calls of billing operations")
    rate_limit_project: int = Field(default=500, ge=1, description="of them, calls of project operations")
    rate_limit_operator: int | None = Field(default=None, ge=1, description="calls of an operator's key within an hour")
    rate_limit_failures: int = Field(default=1000, ge=1, description="keys an address may show in vain within an hour")

    currencies: Words = Field(
        default=("USD", "KES", "ZAR", "NGN", "GHS", "TZS"), description="ISO 4217 codes of accounts and wallets"
    )
    topup_limits: Annotated[dict[str, tuple[Decimal, Decimal]], NoDecode] = Field(
        default_factory=dict, description="least and most of a top-up, as USD:1.00-10000.00,KES:100-1000000"
    )
    topup_limit_default: Annotated[tuple[Decimal, Decimal], NoDecode] = Field(
        default=(Decimal("1.00"), Decimal("10000.00")), description="the same for currencies not named there"
    )
    close_grace_s: int = Field(default=3600, ge=0, description="how long after its end a month waits for late usage")
    close_lanes: int = Field(
        default=2, ge=1, le=64, description="database sessions that a worker closes a month with at once"
    )
    sandbox_settle_after_s: int | None = Field(
        default=None, ge=0, description="after which the sandbox gateway settles pending payments by itself"
    )

    sandbox_webhook_secrets: SecretStr | None = Field(
        default=None,
        description="whsec_ secrets of the sandbox's webhooks, newest first; two while one replaces the other",
    )

    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="from which the secrets of webhooks are derived, the same for all processes; else one is made under the home",
    )
    webhook_networks: Words = Field(
        default=(), description="networks that webhooks may reach though they are not public, such as 10.20.0.0/16"
    )
    webhook_ca_file: Path | None = Field(
        default=None, description="certificate authorities, as PEM, that webhooks trust beside the system's"
    )

    smtp_host: str | None = Field(default=None, description="server that takes e-mail; without it none is sent")
    smtp_port: int | None = Field(
        default=None, ge=1, le=65535, description="its port, unless the usual one of smtp_tls"
    )
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(default="starttls", description="how it is spoken to")
    smtp_username: str | None = Field(default=None, description="as whom it is logged in to")
    smtp_password: SecretStr | None = Field(default=None, description="and with which password")
    smtp_from: Annotated[str, Field(pattern=_ADDRESS)] | None = Field(
        default=None, description="the address that mail comes from"
    )
    smtp_timeout_s: float = Field(default=30, gt=0, le=60, description="how long each of its answers is waited for")
    smtp_ca_file: Path | None = Field(
        default=None, description="certificate authorities, as PEM, in place of the system's"
    )
    sms_gateway: Literal["africas_talking", "twilio"] | None = Field(
        default=None, description="who carries text messages; without it none is sent"
    )
    sms_account: str | None = Field(default=None, description="the username there, or the account's SID")
    sms_secret: SecretStr | None = Field(default=None, description="the API key there, or the auth token")
    sms_from: str | None = Field(default=None, description="the sender's number or name, or a messaging service's SID")
    sms_base_url: Annotated[str, Field(pattern=_BASE_URL)] | None = Field(
        default=None, description="its API, unless the gateway's own"
    )
    messages_at_once: int = Field(
        default=8, ge=1, le=100, description="messages that a process sends at once by a channel"
    )

    demo_months: int = Field(default=12, ge=0, le=36, description="closed months behind the demo's account")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "plain"] = Field(default="auto", description="auto: plain on a terminal")

    @field_validator("home", mode="after")
    @classmethod
    def _expand_home(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("currencies", mode="after")
    @classmethod
    def _check_currencies(cls, currencies: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [code for code in currencies if code not in money.DECIMALS]
        if wrong or not currencies:
            raise ValueError(f"{', '.join(wrong) or 'nothing'} is not a list of ISO 4217 codes such as USD,KES")
        return tuple(dict.fromkeys(currencies))

    @field_validator("cors_origins", mode="after")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"{origin} is not an origin such as https://console.example.com")
        return origins

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            if ip_network(proxy, strict=False).prefixlen == 0:
                raise ValueError(f"{proxy} would believe everybody's X-Forwarded-For")
        return proxies

    @field_validator("sandbox_webhook_secrets", mode="after")
    @classmethod
    def _check_webhook_secrets(cls, secrets: SecretStr | None) -> SecretStr | None:
        given = _split(secrets.get_secret_value()) if secrets is not None else ()
        for secret in cast("tuple[str, ...]", given):
            standard_webhooks.read_secret(secret)
        return secrets

    @field_validator("webhook_networks", mode="after")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            if ip_network(network).prefixlen == 0:
                raise ValueError(f"{network} would let webhooks reach everything")
        return networks

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.smtp_host is not None and self.smtp_from is None:
            raise ValueError(f"{PREFIX}SMTP_FROM must be set where {PREFIX}SMTP_HOST is")
        if self.smtp_username is not None and self.smtp_tls == "none" and self.smtp_host not in _LOOPBACK:
            raise ValueError(f"{PREFIX}SMTP_TLS none would send the password in the clear to {self.smtp_host}")
        if self.sms_gateway is not None and (self.sms_account is None or self.sms_secret is None):
            raise ValueError(f"{PREFIX}SMS_ACCOUNT and {PREFIX}SMS_SECRET must be set where {PREFIX}SMS_GATEWAY is")
        if self.sms_gateway == "twilio" and self.sms_from is None:
            raise ValueError(f"{PREFIX}SMS_FROM must be set for twilio")
        return self

    @field_validator("rate_limit_url", mode="after")
    @classmethod
    def _check_rate_limit_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        scheme, _, place = url.get_secret_value().partition("://")
        if scheme not in _SHARED_SCHEMES or not place:
            raise ValueError(f"must begin with one of {', '.join(f'{one}://' for one in _SHARED_SCHEMES)}")
        return SecretStr(f"{_SHARED_SCHEMES[scheme]}://{place}")

    @field_validator("topup_limits", mode="before")
    @classmethod
    def _read_limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition(":") for part in value.split(",") if part.strip()]
        return {currency: _range(text) for currency, _, text in pairs}

    @field_validator("topup_limit_default", mode="before")
    @classmethod
    def _read_limit(cls, value: object) -> object:
        return _range(value) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line, then the environment: no .env file is read by surprise."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls)

    def shown(self) -> dict[str, str]:
        """Each variable with its value, secrets hidden."""
        return {variable_of(name): _show(getattr(self, name)) for name in type(self).model_fields}

    def topup_limits_of(self, currency: str) -> tuple[Decimal, Decimal]:
        """The least and the most of one top-up, in major units, both inclusive."""
        return self.topup_limits.get(currency, self.topup_limit_default)

    @property
    def sandbox_secrets(self) -> tuple[bytes, ...]:
        """The secrets of the sandbox's webhooks that were set."""
        given = self.sandbox_webhook_secrets.get_secret_value() if self.sandbox_webhook_secrets is not None else ""
        return tuple(standard_webhooks.read_secret(text) for text in cast("tuple[str, ...]", _split(given)))

    @property
    def reachable_host(self) -> str:
        """The host part of addresses that this process prints."""
        host = "127.0.0.1" if self.host in _HOST_NAMES else self.host
        return f"[{host}]" if ":" in host else host


def load_settings(**given: object) -> Settings:
    """The settings of the environment, under those that the command line gave (None: not given). Raises ConfigError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # pyright: ignore[reportArgumentType]  # validated there
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else f"{PREFIX}{name.upper()}"


def _range(text: str) -> tuple[Decimal, Decimal]:
    try:
        least, most = (Decimal(part) for part in text.split("-"))
        if 0 < least <= most:
            return least, most
    except (InvalidOperation, ValueError):
        pass
    raise ValueError(f"{text!r} is not a range of amounts such as 1.00-10000.00")


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    reason = first["msg"].removeprefix("Value error, ")
    if name not in Settings.model_fields:
        return f"{name}: {reason}" if name else reason
    return f"{variable_of(name)}: {reason}"


def _show(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return "(hidden)"
        case dict():
            return ",".join(f"{key}:{_show(item)}" for key, item in cast("dict[str, object]", value).items())
        case (Decimal() as least, Decimal() as most):
            return f"{least}-{most}"
        case tuple():
            return ",".join(str(item) for item in cast("tuple[object, ...]", value))
        case _:
            return str(value)
