"""Guard pushes: one spelling, each origin once, and nothing but checkpoints inside."""

from base64 import b64encode

import pytest

from log.errors import Malformed
from log.formats import names
from log.formats.checkpoint import Checkpoint
from log.formats.guard_push import GuardPush
from log.formats.note import Note, Signature

LINE = Signature("hk.example/x509", b"\x01\x02\x03\x04", b"s" * 64)


def head(origin: str, size: int = 3) -> Note:
    return Note(Checkpoint(origin, size, b"r" * 32).encode(), (LINE,))


def push_text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in (names.GUARD_PUSH, *lines)).encode()


def b64(note: Note) -> str:
    return wire_b64(note.encode())


def wire_b64(data: bytes) -> str:
    return b64encode(data).decode()


def test_a_guard_push_reads_as_it_is_drawn() -> None:
    own, peer = head("hk.example/x509"), head("gd.example/x509")
    text = push_text(
        "node hk", "time 7", f"own {b64(own)}", f"peer gd.example/x509 {b64(peer)}", "peer gd.example/g none"
    )

    push = GuardPush.parse(text)

    peers = (("gd.example/x509", peer.encode()), ("gd.example/g", None))
    assert push == GuardPush("hk", 7, (own.encode(),), peers)
    assert push.encode() == text


OWN = f"own {b64(head('hk'))}"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("node hk",),
        ("time 7", "node hk"),
        ("node hk", "time 07"),
        ("node ", "time 7"),
        ("node h k", "time 7"),
        ("node hk", "time 7", ""),
        ("node hk", "time 7", "more"),
        ("node hk", "time 7", "own none"),
        ("node hk", "time 7", OWN, OWN),
        ("node hk", "time 7", OWN, f"own {b64(head('hk', 4))}"),
        ("node hk", "time 7", "peer gd none", OWN),
        ("node hk", "time 7", "peer gd none", "peer gd none"),
        ("node hk", "time 7", f"peer gd {b64(head('other'))}"),
        ("node hk", "time 7", "peer gd"),
        ("node hk", "time 7", "peer  none"),
        ("node hk", "time 7", f"own {wire_b64(b'no note')}"),
        ("node hk", "time 7", f"own {wire_b64(Note(b'no checkpoint', (LINE,)).encode())}"),
    ],
)
def test_guard_pushes_that_no_guard_writes(lines: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        GuardPush.parse(push_text(*lines))


def test_a_guard_push_of_another_version_is_refused() -> None:
    with pytest.raises(Malformed):
        GuardPush.parse(b"twinlog/guard-push@v2\nnode hk\ntime 7\n")
