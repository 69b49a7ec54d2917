"""Prints the bill of materials of what is installed (CycloneDX 1.5, JSON) from the pinned requirements: `make sbom`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

_PIN = re.compile(r"(?P<name>[a-z0-9._-]+)==(?P<version>[^ \\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(text: str) -> list[dict[str, object]]:
    """The packages of a requirements file in its order, each with the hashes of its files."""
    found: list[dict[str, object]] = []
    hashes: list[dict[str, str]] = []
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin is not None:
            hashes = []
            found.append(
                {
                    "type": "library",
                    "name": pin["name"],
                    "version": pin["version"],
                    "purl": f"pkg:pypi/{pin['name']}@{pin['version']}",
                    "hashes": hashes,
                }
            )
        hashes.extend({"alg": "SHA-256", "content": value} for value in _HASH.findall(line))
    return found


def main() -> None:
    """Print the document."""
    requirements = Path(__file__).parents[1] / "requirements.txt"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": components(requirements.read_text(encoding="utf-8")),
    }
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
