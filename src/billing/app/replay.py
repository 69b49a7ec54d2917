"""`billing replay FILE`: cost and usage rows (FOCUS columns) through the operator API, each rated cost against the row's own.

Each (ServiceName, SkuPriceId, PricingUnit, ListUnitPrice) becomes a meter with a per_unit price on a contract card of an account
made for the replay; each row's quantity becomes an event. The months are closed; a row's cost is its share of its meter's charge.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from billing import invoices
from billing.app.calling import Api, open_api
from billing.app.faults import CommandError
from billing.app.runtime import installation
from billing.app.tables import print_table, progress
from billing.core import ids, money
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.app.runtime import Installation
    from billing.kit.config import Settings

COLUMNS = (
    "RowId",
    "ServiceName",
    "BillingCurrency",
    "PricingUnit",
    "SkuPriceId",
    "ChargePeriodStart",
    "PricingQuantity",
    "ListUnitPrice",
    "ListCost",
)
_MAY_BE_EMPTY = ("PricingUnit", "SkuPriceId")
TOLERANCE = Decimal("1e-9")
SHOWN_MAX = 20
_BATCH = 1_000
_REGION = "global"
_SOURCE = "replay"

T = TypeVar("T")
_EXACT = Context(prec=60)


class Sku(NamedTuple):
    """What has a price of its own."""

    service: str
    sku_price_id: str
    unit: str
    unit_price: Decimal

    @property
    def meter(self) -> str:
        """The name of its meter: readable, and unique by the digest of all its members."""
        slug = _slug(self.service)[:40]
        digest = hashlib.sha256("\x1f".join(map(str, self)).encode()).hexdigest()[:16]
        return f"{slug}-{digest}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file."""

    row_id: str
    sku: Sku
    currency: str
    started_at: datetime
    quantity: Decimal
    list_cost: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """A row whose rated cost is not its own."""

    row: Row
    rated: Decimal


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Replay a file; 1 when a cost differs or an event is not billed."""
    rows = read_rows(arguments.file)
    async with installation(settings) as installed, open_api(installed, command="billing replay") as api:
        replay = Replay(installed, api, rows)
        if replay.periods[-1].end > installed.database.clock():
            raise CommandError(f"{arguments.file} has rows of {replay.periods[-1]}, a month that has not ended yet")
        with progress(f"Sending {len(rows):,} rows", total=replay.sendings) as bar:
            await replay.send(bar.advance)
        with progress(f"Closing {len(replay.periods)} months", total=len(replay.periods)) as bar:
            await replay.close(bar.advance)
        differences = replay.compare()
    _show(replay, differences)
    return 1 if differences or replay.outcomes.keys() - {"accepted"} else 0


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file. Raises CommandError that names the line and column of what cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise CommandError(
                    f"{path} has no column {', '.join(missing)}: it has to be a CSV file with FOCUS columns in its first line"
                )
            rows = [_read_row(path, reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"{path} cannot be read: {reason}") from error
    if not rows:
        raise CommandError(f"{path} has no rows")
    doubled = [row_id for row_id, count in Counter(row.row_id for row in rows).items() if count > 1]
    if doubled:
        raise CommandError(f"{path} has more than one row with RowId {doubled[0]}")
    if len({row.currency for row in rows}) > 1:
        raise CommandError(f"{path} has rows in several currencies; replay them apart")
    return rows


def _read_row(path: Path, line: int, fields: Mapping[str, str | None]) -> Row:
    texts = {column: fields[column] or "" for column in COLUMNS}  # a row that is too short has None
    for column in COLUMNS:
        if not texts[column].strip() and column not in _MAY_BE_EMPTY:
            raise CommandError(f"{path} line {line}: {column} is empty")
    return _row_of(path, line, texts)


def _row_of(path: Path, line: int, fields: Mapping[str, str]) -> Row:
    column = ""
    try:
        numbers: dict[str, Decimal] = {}
        for column in ("PricingQuantity", "ListUnitPrice", "ListCost"):
            numbers[column] = money.parse_decimal(fields[column])
        column = "ChargePeriodStart"
        started_at = datetime.fromisoformat(fields[column])
    except ValueError as error:
        raise CommandError(f"{path} line {line}: {column} {error}") from error
    sku = Sku(fields["ServiceName"], fields["SkuPriceId"], fields["PricingUnit"], numbers["ListUnitPrice"].normalize())
    aware = started_at if started_at.tzinfo else started_at.replace(tzinfo=UTC)
    return Row(fields["RowId"], sku, fields["BillingCurrency"], aware, numbers["PricingQuantity"], numbers["ListCost"])


class Replay:
    """One replay: what was sent, what came of it."""

    def __init__(self, installed: Installation, api: Api, rows: Sequence[Row]) -> None:
        self._installed = installed
        self._api = api
        self.rows = rows
        self.skus = sorted({row.sku for row in rows})
        self.periods = sorted({Period.containing(row.started_at) for row in rows})
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._billed: set[str] = set()
        self.invoices: list[dict[str, Any]] = []
        self._account_id = ""

    @property
    def sendings(self) -> int:
        """How many steps `send` takes."""
        return len(self.skus) + -(-len(self.rows) // _BATCH)

    async def send(self, step: Callable[[], None]) -> None:
        """Open an account, price the meters, send every row as an event."""
        currency = self.rows[0].currency
        opened = await self._api.operate(
            "POST", "/accounts", {"email": "replay@example.com", "name": "Replay", "currency": currency}
        )
        self._account_id, self._api.account_key = opened["account"]["id"], opened["api_key"]["key"]
        for sku in self.skus:
            name = f"{sku.service} {sku.sku_price_id}"[:200]
            body = {"service": _slug(sku.service), "name": name, "unit": sku.unit or "unit", "aggregation": "sum"}
            await self._api.operate("PUT", f"/meters/{sku.meter}", body)
            step()
        for chunk in _chunks(self.skus, _BATCH):
            prices = [
                {
                    "service": _slug(sku.service),
                    "meter": sku.meter,
                    "model": "per_unit",
                    "unit_price": str(sku.unit_price),
                }
                for sku in chunk
            ]
            card = {"name": "Replay", "currency": currency, "account_id": self._account_id, "prices": prices}
            await self._api.operate("POST", "/rate-cards", {**card, "valid_from": _wire(self.periods[0].start)})
        for service in sorted({sku.service for sku in self.skus}):
            await self._report_resource(service)
        for chunk in _chunks(self.rows, _BATCH):
            await self._send_events(chunk)
            step()

    async def _report_resource(self, service: str) -> None:
        body = {
            "type": _slug(service),
            "service": _slug(service),
            "name": service,
            "region": _REGION,
            "status": "running",
            "effective_at": _wire(self.periods[0].start),
        }
        await self._api.operate("PUT", f"/accounts/{self._account_id}/resources/{_slug(service)}", body)

    async def _send_events(self, rows: Sequence[Row]) -> None:
        events = [
            {
                "specversion": "1.0",
                "id": row.row_id,
                "source": _SOURCE,
                "type": "usage",
                "subject": _slug(row.sku.service),
                "time": _wire(row.started_at),
                "data": {"account_id": self._account_id, "meter": row.sku.meter, "quantity": str(row.quantity)},
            }
            for row in rows
        ]
        answer = await self._api.send_events(events, backfill=True)
        for row, result in zip(rows, answer["results"], strict=True):
            self.outcomes[result["status"]] += 1
            if result["status"] == "accepted":
                self._billed.add(row.row_id)
            if "reason" in result:
                self.reasons[result["reason"]] += 1

    async def close(self, step: Callable[[], None]) -> None:
        """Close each month for the account and read its invoices as the account sees them."""
        for period in self.periods:
            body = {"kind": "close", "period": str(period), "account_ids": [self._account_id]}
            run = await self._api.operate("POST", "/runs", body)
            run_id = ids.decode("run", run["run"]["id"])
            assert run_id is not None
            await invoices.complete(self._installed.database, run_id=run_id)
            step()
        listed = await self._api.ask("GET", "/account/invoices?per_page=100")
        for shown in listed["invoices"]:
            invoice = await self._api.ask("GET", f"/account/invoices/{shown['id']}")
            self.invoices.append(invoice["invoice"])

    def compare(self) -> list[Difference]:
        """The rows whose share of their meter's charge is not their own cost, to 1e-9."""
        quantities: dict[tuple[str, Period], Decimal] = defaultdict(Decimal)
        billed = {row.row_id: row.quantity if row.row_id in self._billed else Decimal(0) for row in self.rows}
        with localcontext(_EXACT):
            for row in self.rows:
                quantities[row.sku.meter, Period.containing(row.started_at)] += billed[row.row_id]
        costs = {(line["meter"], _period_of(line)): line["unrounded"] for line in self.lines()}
        differences: list[Difference] = []
        for row in self.rows:
            key = (row.sku.meter, Period.containing(row.started_at))
            share = Fraction(costs.get(key, 0)) * Fraction(billed[row.row_id]) / Fraction(quantities[key] or 1)
            if abs(share - Fraction(row.list_cost)) > Fraction(TOLERANCE):
                differences.append(Difference(row, Decimal(share.numerator) / Decimal(share.denominator)))
        return differences

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of all invoices: one per charge."""
        for invoice in self.invoices:
            yield from invoice["lines"]


def _show(replay: Replay, differences: Sequence[Difference]) -> None:
    charges = [line["unrounded"] for line in replay.lines()]
    with localcontext(_EXACT):
        cost = sum(charges, Decimal(0))
    events = ", ".join(f"{count} {outcome}" for outcome, count in sorted(replay.outcomes.items()))
    print(f"rows         {len(replay.rows)} ({events})")
    wanted = {(row.sku, Period.containing(row.started_at)) for row in replay.rows}
    print(f"charges      {len(wanted)} ({len(wanted) - len(charges)} of quantity 0), costs sum to {cost:f}")
    for invoice in replay.invoices:
        print(f"invoice      {invoice['number']} {invoice['amount']} {invoice['currency']}")
    for reason, count in sorted(replay.reasons.items()):
        print(f"not billed   {count}: {reason}")
    print(f"differences  {len(differences)}")
    if differences:
        shown = [
            [one.row.row_id, one.row.sku.service, f"{one.row.list_cost:f}", f"{one.rated:f}"]
            for one in differences[:SHOWN_MAX]
        ]
        print_table(["row", "service", "ListCost", "rated"], shown, right={2, 3})
        if len(differences) > SHOWN_MAX:
            print(f"… and {len(differences) - SHOWN_MAX} more")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:100] or "service"


def _wire(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _period_of(line: Mapping[str, Any]) -> Period:
    return Period.parse(line["period_start"][:7])


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
