"""Commands in a document, run in one shell as a reader would, and their output put beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BASH = shutil.which("bash") or "bash"
_MARK = "--- end of command ---"
_VARYING = (
    (re.compile(r"\b(acc|proj|inv|txn|pm|pay|card|run|line|key|price)_[0-9a-z]{26,34}\b"), r"\1_…"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "…"),
    (re.compile(r"\bINV-\d{4}-\d+"), "INV-…"),
    (re.compile(r"\bThe audit trail has \d+"), "The audit trail has …"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "…"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command and what it printed."""

    command: str
    output: str


def read_steps(text: str) -> list[Step]:
    """The commands of a document's console blocks with the output that it shows."""
    steps: list[Step] = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


def run_steps(steps: list[Step], *, folder: Path, environment: Mapping[str, str]) -> list[Step]:
    """The same commands with what they print now, one after the other in one shell."""
    script = "\n".join(f"{{ {step.command}\n}} 2>&1; printf '\\n%s\\n' '{_MARK}'" for step in steps)
    done = subprocess.run(
        [_BASH, "-c", script],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    outputs = done.stdout.split(f"\n{_MARK}\n")
    assert len(outputs) == len(steps) + 1, done.stdout + done.stderr
    return [
        Step(step.command, output + "\n" if output and not output.endswith("\n") else output)
        for step, output in zip(steps, outputs, strict=False)
    ]


def write_steps(text: str, steps: list[Step]) -> str:
    """The document with the outputs of `steps`."""
    following = iter(steps)

    def block(match: re.Match[str]) -> str:
        count = len(re.findall(r"^\$ ", match[1], flags=re.MULTILINE))
        shown = [next(following) for _ in range(count)]
        return "```console\n" + "".join(f"$ {step.command}\n{step.output}" for step in shown) + "```"

    return _BLOCK.sub(block, text)


def without_what_varies(output: str) -> str:
    """An output with ids, instants, hashes and the year of numbers taken out."""
    for pattern, replacement in _VARYING:
        output = pattern.sub(replacement, output)
    return output
