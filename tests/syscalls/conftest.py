"""Labs for the tests of this folder: one for each tool that the machine has, kept as long as the tests run."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.syscalls import tools
from tests.syscalls.lab import MEMORY, Lab

NEITHER = "neither strace nor a C compiler"


@pytest.fixture(scope="session", params=tools.names() or [NEITHER])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab under each tool."""
    yield from _lab(request.param)


@pytest.fixture(scope="session")
def shim_lab() -> Iterator[Lab]:
    """A lab under the shim, for what strace cannot do."""
    yield from _lab("shim" if tools.has_compiler() else NEITHER)


@pytest.fixture(scope="session")
def best_lab() -> Iterator[Lab]:
    """A lab under the tool that this machine does best with."""
    yield from _lab((tools.names() or [NEITHER])[0])


def _lab(name: str) -> Iterator[Lab]:
    if name == NEITHER:
        pytest.skip(NEITHER)
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
        Lab(tools.tool(name, Path(folder)), Path(folder)) as made,
    ):
        yield made
