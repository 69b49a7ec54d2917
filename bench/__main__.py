"""`python -m bench [ROW ...]`: measure, print the table, and keep it in RESULTS.md and results.json."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from bench.measuring import Row

HERE = Path(__file__).parent
MODULES = {
    "http": ("G1", "G5", "G6", "G7", "G8"),
    "ledger": ("G2", "G3", "G4"),
    "months": ("G9", "G10", "G12", "G13", "G14"),
    "documents": ("G11",),
    "starting": ("G15",),
    "millions": ("10M",),
}
IF_ASKED = {"millions"}  # ten minutes and five gigabytes
LIMIT_S = {"millions": 1_800}
LIMIT_ELSE_S = 600
_HEADERS = ("id", "operation", "ours", "yardstick", "ratio", "spread", "floor", "target", "moonshot")


def main(wanted: list[str]) -> int:
    """Measure the rows that are asked for, or all; 1 when one misses its floor."""
    modules = [name for name, ids in MODULES.items() if (set(wanted) & set(ids) if wanted else name not in IF_ASKED)]
    rows: list[Row] = []
    failed: list[str] = []
    for name in modules:
        print(f"measuring {', '.join(MODULES[name])} …", file=sys.stderr, flush=True)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rows += runner.run(_measure(name))
        except Exception:  # the others are measured all the same
            traceback.print_exc()
            failed.append(name)
    print(_table(rows))
    _keep(rows, partly=bool(wanted or failed))
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 0 if not failed and all(row.met[0] for row in rows) else 1


async def _measure(name: str) -> list[Row]:
    async with asyncio.timeout(LIMIT_S.get(name, LIMIT_ELSE_S)):
        return await import_module(f"bench.{name}").rows()


def _table(rows: list[Row]) -> str:
    lines = ["| " + " | ".join(_HEADERS) + " |", "|" + "---|" * len(_HEADERS)]
    for row in rows:
        marks = [f"{'✓' if is_met else '✗'} {bound:g}" for is_met, bound in zip(row.met, row.bounds, strict=True)]
        spread = f"{row.spread[0]:.2f}–{row.spread[1]:.2f}"
        cells = [row.id, row.operation, row.ours, row.yardstick, f"{row.ratio:.2f}", spread, *marks]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _keep(rows: list[Row], *, partly: bool) -> None:
    """Write both files; rows that were not measured now stay as they are."""
    path = HERE / "results.json"
    kept: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    known = {row["id"]: row for row in kept if partly or "-10M" in row["id"]}
    for row in rows:
        known[row.id] = {
            "id": row.id,
            "operation": row.operation,
            "ours": row.ours,
            "yardstick": row.yardstick,
            "ratio": round(row.ratio, 3),
            "spread": [round(bound, 3) for bound in row.spread],
            **dict(zip(("floor_met", "target_met", "moonshot_met"), row.met, strict=True)),
            **row.figures,
        }
    ordered = sorted(known.values(), key=lambda row: int(row["id"][1:].partition("-")[0]))
    path.write_text(json.dumps({"rows": ordered}, indent=2) + "\n", "utf-8")
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        "# Speed against yardsticks",
        "",
        f"Written by `make bench` on a machine with {machine}; what each row and yardstick is, docs/performance.md says.",
        "",
        "| id | operation | ours | yardstick | ratio | spread | floor | target | moonshot |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ordered:
        marks = ["✓" if row[f"{name}_met"] else "✗" for name in ("floor", "target", "moonshot")]
        spread = "–".join(f"{bound:.2f}" for bound in row["spread"])
        cells = [row["id"], row["operation"], row["ours"], row["yardstick"], f"{row['ratio']:.2f}", spread, *marks]
        lines.append("| " + " | ".join(cells) + " |")
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
