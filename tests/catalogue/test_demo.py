"""The command that shows what certspotter gets wrong: each of the four is noticed, and said in a line of its own."""

import os
import subprocess
import sys

from tests.catalogue.demo import MISSES
from tests.catalogue.real import CHECKOUT
from tests.support.go_tools import VARIABLE


def test_our_monitor_notices_what_certspotter_does_not() -> None:
    environment = {**os.environ, VARIABLE: "/nowhere"}  # what certspotter itself says is for `tests/interop`
    words = [sys.executable, "-m", "tests.catalogue", "certspotter"]
    shown = subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for miss in MISSES:
        said = shown.stdout.partition(f"row {miss.row}: {miss.what}\n")[2].splitlines()[0]
        assert said.startswith(f"  twinlog-monitor: {miss.cls.value}, {miss.code}: "), shown.stdout
