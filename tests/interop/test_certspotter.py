"""certspotter (SSLMate), the monitor that most of the Web uses, follows a log of certificates by both protocols.

It checks the signature of each head, rebuilds its root from the entries, and calls a script for each certificate
with a name on its watch list. Of tiles it leaves partial ones alone until they are five minutes old, so what it is
to read ends at a multiple of 256.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalogue.demo import MISSES
from tests.catalogue.real import CHECKOUT
from tests.support.foreign import Foreign, foreign
from tests.support.go_tools import DEADLINE_S, running, tool
from tests.support.nodes import eventually

WATCHED = ".harbour.example"
PLANTED = ("first.harbour.example", "second.harbour.example")
HOOK = """#!/bin/sh
echo "$EVENT $ENTRY_INDEX $LOG_URI" >> "$HOME/heard"
cp "$JSON_FILENAME" "$HOME/heard-$ENTRY_INDEX.json"
"""


class Certspotter:
    """One state folder, in which it is started again and again."""

    def __init__(self, node: Foreign, logs: Path) -> None:
        self._home = node.home
        self._output = self._home / "certspotter.out"
        hook = node.write("hook", HOOK)
        hook.chmod(0o700)
        watched = node.write("watchlist", f"{WATCHED}\n")
        self._command = [tool("certspotter"), "-verbose", "-logs", str(logs), "-script", str(hook)]
        self._command += ["-state_dir", str(self._home / "state"), "-watchlist", str(watched)]

    async def follow(self, words: str) -> str:
        """Run until it says this; return all that it said."""
        await self._until(words, self._said)
        return self._said()

    async def complains(self, words: str) -> None:
        """Run until it has written down an error with these words; nothing may have been verified."""
        await self._until(words, self.errors)
        assert "verified position is now" not in self._said()

    async def _until(self, words: str, source: Callable[[], str]) -> None:
        async with running(self._home, self._output, *self._command):

            async def there() -> bool:
                return words in source()

            await eventually(f"certspotter says {words!r}", there, DEADLINE_S)

    def _said(self) -> str:
        return self._output.read_text(errors="replace")

    def heard(self) -> list[str]:
        path = self._home / "heard"
        return path.read_text().splitlines() if path.exists() else []

    def names(self, index: int) -> list[str]:
        found: dict[str, Any] = json.loads((self._home / f"heard-{index}.json").read_text())
        return list(found["dns_names"])

    def state(self) -> dict[str, Any]:
        (path,) = (self._home / "state").glob("logs/*/state.json")
        state: dict[str, Any] = json.loads(path.read_text())
        return state

    def errors(self) -> str:
        return "".join(path.read_text() for path in (self._home / "state").glob("logs/*/errors/*"))


@pytest.mark.parametrize("tiled", [True, False], ids=["static-ct", "RFC 6962"])
async def test_certspotter_follows_hears_and_goes_on_where_it_was(tmp_path: Path, tiled: bool) -> None:
    tool("certspotter")
    async with foreign(tmp_path) as node:
        await node.fill(100)
        first = (await node.submit(node.chain(PLANTED[0]))).index
        await node.fill(256)
        spotter = Certspotter(node, await node.log_list(tiled=tiled))
        said = await spotter.follow("verified position is now 256")
        assert "brand new log starting from position 0" in said
        assert spotter.heard() == [f"discovered_cert {first} {node.url}/x509/"]
        assert spotter.names(first) == [PLANTED[0]]

        await node.fill(300)
        second = (await node.submit(node.chain(PLANTED[1]))).index
        await node.fill(512)
        said = await spotter.follow("verified position is now 512")
        assert "resuming monitoring from position 256" in said
        assert spotter.heard()[1:] == [f"discovered_cert {second} {node.url}/x509/"]
        assert spotter.names(second) == [PLANTED[1]]

        sth = spotter.state()["verified_sth"]
        assert (sth["tree_size"], sth["sha256_root_hash"]) == (512, (await node.sth())["sha256_root_hash"])
        assert spotter.errors() == ""


async def test_it_says_nothing_of_a_lie_that_our_monitor_tells_of() -> None:
    """`python -m tests.catalogue certspotter` with both: what stands in monitor/README.md."""
    tool("certspotter")
    words = [sys.executable, "-m", "tests.catalogue", "certspotter"]
    process = await asyncio.create_subprocess_exec(*words, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert said.count(b"\n  twinlog-monitor: ") == said.count(b"\n  certspotter: ") == len(MISSES)
    assert b"twinlog-monitor: MISSED" not in said
