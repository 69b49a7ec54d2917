"""X28: what the program is made of is pinned and can be listed; no key of ours is in the repository."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from billing.api_keys import rules
from tests.tidy.sources import ROOT, tracked_files

KEY = re.compile(rb"\b(ls_(?:prod|test|op)_)[0-9A-Za-z]{36}\b")


class TestRepository:
    def test_holds_no_key_that_could_be_one(self) -> None:
        """Texts of the form alone, without its checksum, are examples; a right one may be somebody's."""
        found = [
            f"{path.relative_to(ROOT)}: {match[0].decode()[:16]}…"
            for path in tracked_files()
            for match in KEY.finditer(path.read_bytes())
            if rules.is_well_formed(match[0].decode(), prefix=match[1].decode())
        ]
        assert found == []

    def test_holds_no_private_key(self) -> None:
        marker = b"-----BEGIN " + b"PRIVATE KEY"
        assert [path for path in tracked_files() if marker in path.read_bytes()] == []


class TestBillOfMaterials:
    def test_names_every_pinned_package_with_its_hashes(self) -> None:
        made = subprocess.run([sys.executable, ROOT / "tools/sbom.py"], capture_output=True, text=True, check=True)
        document = json.loads(made.stdout)
        assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
        pinned = re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
        assert [(one["name"], one["version"]) for one in document["components"]] == pinned
        for component in document["components"]:
            assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
            assert all(re.fullmatch("[0-9a-f]{64}", one["content"]) for one in component["hashes"])
            assert component["hashes"]
