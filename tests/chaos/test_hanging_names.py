"""A name server that hangs for one name: what is looked up beside it, such as the database's host, does not wait for that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Stands before the system's own look-up. Names with "hang" in them get no answer.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strstr(node, "hang")) pause();
    return real(node, service, hints, found);
}
"""
# As many mails as are sent at once, over what the last ones left behind; then the database's host. Its exit waits for nobody.
PROGRAM = """
import asyncio, os
from billing.app import cli

async def main():
    loop = asyncio.get_running_loop()
    for number in range(32):
        asyncio.ensure_future(loop.getaddrinfo(f"mail-{number}.hang.example", 25))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        await loop.getaddrinfo("localhost", 5432)
    os._exit(0)

with asyncio.Runner(loop_factory=cli.new_event_loop) as runner:
    try:
        runner.run(main())
    except TimeoutError:
        os._exit(1)
"""


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, and a system that lets a library stand before its own")
    source, made = tmp_path / "hang.c", tmp_path / "hang.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


class TestLookups:
    def test_do_not_wait_for_names_that_hang(self, shim: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**environment, "LD_PRELOAD": str(shim)}, check=False, timeout=30
        )
        assert ended.returncode == 0
