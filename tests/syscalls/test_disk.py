"""The model of a disk, and the reading of both tools' records."""

import random
from pathlib import Path

import pytest

from tests.syscalls.calls import Call, numbered, parse_shim, parse_strace
from tests.syscalls.disk import SECTOR, Disk, File, Survival, write_out


def calls(*each: tuple[object, ...]) -> list[Call]:
    """Make calls from (name, path, descriptor, more…)."""
    made = []
    for name, path, fd, *more in each:
        keys: dict[str, object] = dict(more[0]) if more else {}  # type: ignore[call-overload]
        data = keys.get("data", b"")
        assert isinstance(data, bytes)
        made.append(Call(1, str(name), str(path), fd=int(str(fd)), result=len(data), **keys))  # type: ignore[arg-type]
    return made


CREATE = {"flags": "O_CREAT|O_TRUNC"}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "old").write_bytes(b"old")
    return Disk(tmp_path)


def take(disk: Disk, *each: tuple[object, ...]) -> None:
    for call in calls(*each):
        disk.take(call)


def test_a_file_without_its_name_is_gone(disk: Disk) -> None:
    take(disk, ("openat", "a", 3, CREATE), ("write", "a", 3, {"data": b"content"}), ("fsync", "a", 3))
    assert disk.cut(Survival.SYNCED, 1) == {"old": b"old"}
    assert disk.cut(Survival.JOURNAL, 1) == {"old": b"old", "a": b"content"}
    take(disk, ("openat", ".", 4), ("fsync", ".", 4))
    assert disk.cut(Survival.SYNCED, 1) == {"old": b"old", "a": b"content"}


def test_a_name_without_its_file_is_empty(disk: Disk) -> None:
    take(disk, ("openat", "a", 3, CREATE), ("write", "a", 3, {"data": b"content"}))
    take(disk, ("rename", "a", -1, {"target": "old"}))
    assert disk.cut(Survival.NAMES, 1) == {"old": b""}
    assert disk.cut(Survival.SYNCED, 1) == {"old": b"old"}
    assert disk.cut(Survival.ALL, 1) == {"old": b"content"}


def test_a_folder_takes_with_it_what_it_holds(disk: Disk) -> None:
    take(disk, ("mkdir", "f", -1), ("openat", "f/a", 3, CREATE), ("fsync", "f/a", 3))
    take(disk, ("openat", "f", 4), ("fsync", "f", 4))
    assert disk.cut(Survival.SYNCED, 1) == {"old": b"old"}
    assert disk.cut(Survival.NAMES, 1) == {"old": b"old", "f": None, "f/a": b""}


def test_a_removed_file_may_come_back(disk: Disk) -> None:
    take(disk, ("unlink", "old", -1))
    found = {tuple(disk.cut(Survival.CUT, seed)) for seed in range(20)}
    assert found == {(), ("old",)}


def test_what_is_torn_is_made_of_sectors() -> None:
    file = File(bytearray(b"a" * 3 * SECTOR))
    file.sync()
    file.write(1, 0, b"b" * 4 * SECTOR)
    seen = {file.surviving(Survival.TORN, 1, random.Random(seed)) for seed in range(200)}
    assert len(seen) == 2**4
    assert {content[at] for content in seen for at in range(0, len(content), SECTOR)} == {0, *b"ab"}
    assert all(len(set(content[:SECTOR])) == 1 for content in seen)
    cut = {file.surviving(Survival.CUT, 1, random.Random(seed)) for seed in range(200)}
    assert {content.count(b"b") // SECTOR for content in cut} == {0, 1, 2, 3, 4}
    assert len(file.surviving(Survival.TORN, 0, random.Random(1))) == 3 * SECTOR


def test_a_file_is_longer_only_where_earlier_names_are_there(disk: Disk) -> None:
    take(disk, ("openat", "old", 3, {"flags": "O_APPEND"}), ("openat", "new", 4, CREATE))
    take(disk, ("write", "old", 3, {"data": b" and longer"}))
    found = [disk.cut(Survival.TORN, seed) for seed in range(50)]
    assert all(len(each["old"] or b"") == 3 for each in found if "new" not in each)
    assert {len(each["old"] or b"") for each in found} == {3, 14}


def test_what_survives_can_be_written_out(disk: Disk, tmp_path: Path) -> None:
    take(disk, ("mkdir", "f", -1), ("openat", "f/a", 3, CREATE), ("pwrite64", "f/a", 3, {"data": b"x", "offset": 2}))
    write_out(disk.cut(Survival.ALL, 1), tmp_path / "copy")
    assert (tmp_path / "copy" / "f" / "a").read_bytes() == b"\0\0x"
    assert (tmp_path / "copy" / "old").read_bytes() == b"old"


def test_lines_of_strace_become_calls() -> None:
    folder = "".join(f"\\x{byte:02x}" for byte in b"/d")
    name = "".join(f"\\x{byte:02x}" for byte in b"/d/a")
    text = (
        f'7 openat(AT_FDCWD<{folder}>, "{name}", O_RDWR|O_CREAT, 0777) = 3<{name}>\n'
        f'7 pwrite64(3<{name}>, "\\x68\\x69", 2, 4 <unfinished ...>\n'
        f"8 fsync(9<{folder}>) = -1 EIO (Input/output error) (INJECTED)\n"
        "7 <... pwrite64 resumed>) = 2\n"
        '8 openat(AT_FDCWD<\\x2f>, "\\x2f\\x78", O_RDONLY) = 4<\\x2f\\x78>\n'
        "8 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
        f"7 close(3<{name}>) = ?\n"
        "7 +++ killed by SIGKILL +++\n"
    )
    opened, synced, written, closed = numbered(parse_strace(text, Path("/d")), by_thread=True)
    assert (opened.path, opened.fd, "O_CREAT" in opened.flags) == ("a", 3, True)
    assert (synced.path, synced.result, synced.injected) == (".", -5, True)
    assert (written.data, written.offset, written.result, written.fd) == (b"hi", 4, 2, 3)
    assert (closed.result, closed.done) == (None, False)


def test_a_call_that_the_model_does_not_know_is_noticed() -> None:
    name = "".join(f"\\x{byte:02x}" for byte in b"/d/a")
    with pytest.raises(AssertionError, match="truncate"):
        list(parse_strace(f'7 truncate("{name}", 5) = 0\n', Path("/d")))


def test_lines_of_the_shim_become_calls() -> None:
    text = "7\topenat\ta\t\t3\t3\t0\tO_CREAT|\t\n7\twrite\ta\t\t3\t2\t-1\t\t6869\n7\twrite\ta\t\t3\t-28\t-1\t\t6869\n"
    opened, first, second = numbered(parse_shim(text), by_thread=False)
    assert "O_CREAT" in opened.flags
    assert (first.data, first.nth, first.done) == (b"hi", 1, True)
    assert (second.nth, second.result, second.done) == (2, -28, False)
