"""The demonstration as whoever tries Twinlog starts it: it ends by itself, or by Ctrl-C, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx

from log.formats.tlog_proof import EventExtra, TlogProof

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_S = 300.0  # for the whole story, on a busy machine
END_S = 120.0  # from Ctrl-C to the end
GONE_S = 60.0  # for the system to clear up what has ended


@contextmanager
def demonstration(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start it in a process group of its own, as a shell does; its output goes to a file."""
    out = folder.with_suffix(".out")
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "log", "demo", "--dir", str(folder), *options],
            cwd=CHECKOUT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, out
    finally:
        if in_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def in_group(group: int) -> bool:
    """Say whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def says(process: subprocess.Popen[bytes], out: Path, words: str) -> str:
    """Wait until the demonstration has said something; return all that it said."""
    until = time.monotonic() + WAIT_S
    while words not in (said := out.read_text(errors="replace")):
        assert process.poll() is None, said
        assert time.monotonic() < until, said
        time.sleep(0.1)
    return said


def assert_gone(group: int) -> None:
    until = time.monotonic() + GONE_S
    while in_group(group):
        assert time.monotonic() < until, f"processes of group {group} are left"
        time.sleep(0.05)


def test_the_demonstration_ends_by_itself(tmp_path: Path) -> None:
    with demonstration(tmp_path / "demo", "--once") as (process, out):
        assert process.wait(WAIT_S) == 0, out.read_text(errors="replace")
        assert_gone(process.pid)
    said = out.read_text(errors="replace")
    [verified] = [line for line in said.splitlines() if "VERIFIED: logged as entry" in line]
    assert "gd.twinlog.example/witness" in verified
    assert said.count("VERIFIED: this document.") == said.count("the signature over it verifies") == 3
    assert "tenancy (certificate of HK, not-logged)" in said
    assert "supply (certificate of HK, foreign-proven)" in said  # Guangdong's platform, a Hong Kong certificate
    assert "acceptance (certificate of GD, foreign-proven)" in said
    assert_private(tmp_path / "demo")
    assert "monitor.twinlog.example" in verified
    assert "failed" not in said


def assert_private(folder: Path) -> None:
    """What was signed by whom lies with whoever signed, and nowhere in what nodes and monitor wrote."""
    papers = folder / "papers"
    secret = [b"CHAN Tai Man", (papers / "tenancy" / "tenancy.der").read_bytes()]
    secret += [path.read_bytes() for path in papers.rglob("*.txt")]
    for receipt in papers.rglob("*.tlog-proof"):
        openings = EventExtra.parse(TlogProof.parse(receipt.read_bytes()).extra or b"").openings
        secret += [each for opening in openings for each in (opening.salt, opening.value)]
    secret += [sha256(value).digest() for value in secret]
    assert len(secret) >= 2 * (2 + 3 + 2 * 4)
    written = [path for name in ("hk", "gd", "monitor") for path in (folder / name).rglob("*") if path.is_file()]
    written += folder.glob("*.out")
    assert any(b"twinlog/event@v1" in path.read_bytes() for path in written)  # stores are searchable as they lie
    for path in written:
        content = path.read_bytes()
        for value in secret:
            assert not any(form in content for form in (value, value.hex().encode(), b64encode(value))), path


def follow_the_readme(folder: Path, said: str) -> str:
    """Type the README's eleven commands, with what the demonstration printed; return all that they say."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    commands = [line[2:] for line in readme.splitlines() if line.startswith("$ .venv/bin/twinlog")]
    assert len(commands) == 11
    [url] = re.findall(r"^HK: (http://[0-9.:]+)/ ", said, re.MULTILINE)
    script = "\n".join(commands).replace(".venv/bin/twinlog-monitor", f"{sys.executable} -m monitor")
    script = script.replace(".venv/bin/twinlog", f"{sys.executable} -m log")
    [genesis] = re.findall(r"^Genesis, .*: (\S+)$", said, re.MULTILINE)
    environment = {**os.environ, "D": str(folder), "U": f"{url}/x509", "G": genesis, "PYTHONPATH": str(CHECKOUT)}
    ran = subprocess.run(
        ["bash", "-ec", script], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_readme_holds_and_ctrl_c_ends_the_demonstration_and_all_that_it_started(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the whole group: the nodes and the monitor get it too, at the same time."""
    with demonstration(tmp_path / "demo") as (process, out):
        said = says(process, out, "Running until Ctrl-C.")
        assert "VERIFIED" in said
        answers = follow_the_readme(tmp_path / "demo", said)
        assert "1 logged, 0 logged before, 0 refused" in answers
        assert "VERIFIED: logged as entry" in answers
        assert "VERIFIED: this document." in answers
        assert "all in order" in answers
        assert "cosigned by gd.twinlog.example/witness" in answers
        codes = re.findall(r"^\d+ (P\d\d) ", answers, re.MULTILINE)
        assert "P16" in codes
        assert "P01" not in codes  # what both lists recognise is no finding: those that there are stand out
        [page] = re.findall(r"^Monitor: (http://[0-9.:]+/) ", said, re.MULTILINE)
        text = httpx.get(page, timeout=WAIT_S).text
        assert "hk.twinlog.example/x509" in text
        assert "Findings, newest first" in text
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(END_S) == 0, out.read_text(errors="replace")
        assert_gone(process.pid)
    assert "Traceback" not in out.read_text(errors="replace")


def test_ctrl_c_in_the_middle_of_the_story_leaves_nothing_behind(tmp_path: Path) -> None:
    """Here the demonstration alone is told, as by `kill -INT`: it has to end what it started."""
    with demonstration(tmp_path / "demo") as (process, out):
        says(process, out, "the monitor looks at both")
        process.send_signal(signal.SIGINT)
        code, said = process.wait(END_S), out.read_text(errors="replace")
        assert code == (0 if "Running until Ctrl-C." in said else 1), said  # 0: we were late, and it was at its end
        assert_gone(process.pid)
    assert "Traceback" not in said
