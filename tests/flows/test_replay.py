"""`billing replay`: rows with known costs through the operator API, every difference told, every broken file one line."""

from __future__ import annotations

import csv
import os
import random
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from billing.app.faults import CommandError
from billing.app.replay import COLUMNS, read_rows
from tests.support.serving import run

SAMPLE = "cost_and_usage_sample.csv"
GOOD = {
    "RowId": "1",
    "ServiceName": "Compute",
    "BillingCurrency": "USD",
    "PricingUnit": "Hrs",
    "SkuPriceId": "SKU.1",
    "ChargePeriodStart": "2024-01-10 10:00:00",
    "PricingQuantity": "2",
    "ListUnitPrice": "0.05",
    "ListCost": "0.1",
}
# service, unit, SKU, unit price: the first two differ in price alone, the last two in the service's spelling.
SKUS = [
    ("Amazon Elastic Compute Cloud", "Hrs", "A.1", "0.0104"),
    ("Amazon Elastic Compute Cloud", "Hrs", "A.1", "0.0116"),
    ("Amazon Elastic Compute Cloud", "GB", "B.1", "0"),
    ("Storage & Backup", "GB-Mo", "C.1", "0.023"),
    ("Functions", "Request", "D.1", "0.0000002"),
    ("functions", "", "", "0.000016666700000"),
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "Tags"])  # other columns are left alone
        writer.writeheader()
        writer.writerows({"Tags": '{"a": "b"}', **row} for row in rows)
    return path


def made_up() -> list[dict[str, str]]:
    """240 rows of two months, some of quantity 0, with up to 12 decimals; costs exact."""
    chance = random.Random(12)
    rows: list[dict[str, str]] = []
    for number in range(240):
        service, unit, sku, price = SKUS[number % len(SKUS)]
        quantity = "0" if number % 10 == 0 else f"{chance.uniform(0, 500):.{chance.choice((0, 4, 9, 12))}f}"
        start = f"2024-{chance.choice((1, 2)):02}-{chance.randint(1, 29):02} {chance.randrange(24):02}:00:00"
        rows.append(
            {
                **GOOD,
                "RowId": f"row-{number}",
                "ServiceName": service,
                "PricingUnit": unit,
                "SkuPriceId": sku,
                "ChargePeriodStart": start,
                "PricingQuantity": quantity,
                "ListUnitPrice": price,
                "ListCost": f"{Decimal(quantity) * Decimal(price):.24f}",
            }
        )
    return rows


def replay(path: Path, database_dsn: str, tmp_path: Path) -> CompletedProcess[str]:
    return run("replay", str(path), DATABASE_URL=database_dsn, LINESERVE_HOME=str(tmp_path / "home"))


def shown(done: CompletedProcess[str], name: str) -> list[str]:
    """What is printed after a name at the start of a line."""
    return [line[len(name) :].strip() for line in done.stdout.splitlines() if line.startswith(f"{name} ")]


class TestReplay:
    def test_of_exact_costs_finds_no_difference(self, database_dsn: str, tmp_path: Path):
        rows = made_up()
        done = replay(write(tmp_path / "exact.csv", rows), database_dsn, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert shown(done, "rows") == ["240 (240 accepted)"]
        assert shown(done, "differences") == ["0"]
        total = sum(Fraction(row["PricingQuantity"]) * Fraction(row["ListUnitPrice"]) for row in rows)
        (charges,) = shown(done, "charges")
        told = Fraction(charges.rpartition(" ")[2])
        assert abs(told - total) < Fraction(12, 10**12)
        invoices = shown(done, "invoice")
        assert len(invoices) == 2
        assert all(re.fullmatch(r"INV-\d{4}-00[12] \d+\.\d\d USD", invoice) for invoice in invoices)
        rounded = sum(Decimal(invoice.split()[1]) for invoice in invoices)
        assert abs(Fraction(rounded) - total) < Fraction(12, 100)

    def test_tells_each_row_that_costs_something_else(self, database_dsn: str, tmp_path: Path):
        rows = [{**GOOD, "RowId": f"r{number}"} for number in range(3)]
        rows[1]["ListCost"] = "0.100000002"
        rows[2]["ListCost"] = "0.1000000009"  # within the tolerance
        done = replay(write(tmp_path / "wrong.csv", rows), database_dsn, tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        assert shown(done, "differences") == ["1"]
        assert done.stdout.splitlines()[-2:] == ["row  service     ListCost  rated", "r1   Compute  0.100000002    0.1"]

    def test_tells_what_is_not_billed_and_why(self, database_dsn: str, tmp_path: Path):
        rows = [
            GOOD,
            {**GOOD, "RowId": "2", "PricingQuantity": "-1", "ListCost": "-0.05"},
            {**GOOD, "RowId": "3", "PricingQuantity": "0.0000000000001", "ListCost": "0"},
        ]
        done = replay(write(tmp_path / "odd.csv", rows), database_dsn, tmp_path)
        assert done.returncode == 1
        assert shown(done, "rows") == ["3 (1 accepted, 1 quarantined, 1 rejected)"]
        assert shown(done, "not billed") == ["1: data.quantity has more than 12 decimals", "1: negative_quantity"]
        assert done.stdout.splitlines()[-1].split() == ["2", "Compute", "-0.05", "0"]

    def test_of_the_real_sample_is_one_invoice(self, database_dsn: str, tmp_path: Path):
        beside = Path(__file__).parents[3] / "shared" / "data"
        path = Path(os.environ.get("LINESERVE_SHARED_DATA", beside)) / SAMPLE
        if not path.exists():
            pytest.skip(f"{SAMPLE} is neither in LINESERVE_SHARED_DATA nor in ../shared/data beside the repository")
        done = replay(path, database_dsn, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert shown(done, "rows") == ["485 (485 accepted)"]
        (charges,) = shown(done, "charges")
        assert charges.startswith("206 ")
        assert charges.endswith(" 5.857680213793")
        (invoice,) = shown(done, "invoice")
        assert invoice.endswith(" 5.84 USD")
        assert shown(done, "differences") == ["0"]


class TestBrokenFile:
    @pytest.mark.parametrize(
        ("members", "said"),
        [
            ({"PricingQuantity": "NaN"}, "line 3: PricingQuantity must be a number"),
            ({"PricingQuantity": "1e400"}, "line 3: PricingQuantity is out of range"),
            ({"ListUnitPrice": "1,5"}, "line 3: ListUnitPrice must be a number"),
            ({"ListCost": ""}, "line 3: ListCost is empty"),
            ({"RowId": " "}, "line 3: RowId is empty"),
            ({"ServiceName": ""}, "line 3: ServiceName is empty"),
            ({"ChargePeriodStart": "2024-02-30 00:00:00"}, "line 3: ChargePeriodStart day is out of range for month"),
            ({"ChargePeriodStart": "soon"}, "line 3: ChargePeriodStart Invalid isoformat string: 'soon'"),
            ({"RowId": "1"}, "has more than one row with RowId 1"),
            ({"BillingCurrency": "KES"}, "has rows in several currencies; replay them apart"),
        ],
    )
    def test_is_named_by_line_and_column(self, tmp_path: Path, members: dict[str, str], said: str):
        path = write(tmp_path / "broken.csv", [GOOD, {**GOOD, "RowId": "2", **members}])
        with pytest.raises(CommandError) as caught:
            read_rows(path)
        assert str(caught.value) == f"{path} {said}"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "has no column RowId, "),
            (",".join(COLUMNS).encode() + b"\n", "has no rows"),
            (",".join(COLUMNS[1:]).encode() + b"\n", "has no column RowId"),
            (",".join(COLUMNS).encode() + b"\n1,Compute,USD\n", "line 2: ChargePeriodStart is empty"),
            (b"\xff\xfe\x00", "cannot be read: "),
            (b'RowId,"' + b"x" * 200_000, "cannot be read: "),
        ],
    )
    def test_that_is_no_table_says_so(self, tmp_path: Path, content: bytes, said: str):
        path = tmp_path / "broken.csv"
        path.write_bytes(content)
        with pytest.raises(CommandError) as caught:
            read_rows(path)
        assert str(caught.value).startswith(f"{path} {said}")

    def test_is_one_line_and_leaves_nothing_behind(self, tmp_path: Path):
        home = tmp_path / "home"
        for path in (tmp_path / "missing.csv", tmp_path):
            done = run("replay", str(path), LINESERVE_HOME=str(home))
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
            assert done.stderr.startswith(f"billing: {path} cannot be read: ")
        assert not home.exists()

    def test_of_a_month_that_is_not_over_is_refused_before_anything_is_made(self, database_dsn: str, tmp_path: Path):
        path = write(tmp_path / "early.csv", [GOOD, {**GOOD, "RowId": "2", "ChargePeriodStart": "2999-12-01"}])
        done = replay(path, database_dsn, tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"billing: {path} has rows of 2999-12, a month that has not ended yet\n"
