"""Certificates out of files: whatever is in them, one block after the other."""

import shutil
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log.client import pem
from log.errors import Malformed, NotFound
from tests.conftest import CHANCE
from tests.support.odd_certificates import world

MAX_CHAIN = 10


def text(*certificates: bytes) -> bytes:
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificates)).encode()


def found(path: Path, max_chain: int = MAX_CHAIN) -> list[tuple[int, list[bytes] | str]]:
    return [
        (number, str(each) if isinstance(each, Malformed) else [one.der for one in each])
        for number, each in pem.chains(path, max_chain)
    ]


def test_a_chain_stays_whole_and_many_are_many(tmp_path: Path) -> None:
    w = world()
    one, two, three = (w.issue(w.profile(n)) for n in (1, 2, 3))
    path = tmp_path / "bundle.pem"
    path.write_bytes(text(*one, two[0], three[0], *three[1:], one[-1], one[-1], two[0], two[1]))
    assert found(path) == [(1, one), (4, [two[0]]), (5, three), (8, [one[-1]]), (9, [one[-1]]), (10, two[:2])]
    assert found(path, 2)[:2] == [(1, one[:2]), (3, one[2:])]
    assert pem.read(path) == [*one, two[0], *three, one[-1], one[-1], two[0], two[1]]


def test_a_block_that_is_none_spoils_itself_alone(tmp_path: Path) -> None:
    w = world()
    leaf, issuing, root = w.issue(w.profile())
    path = tmp_path / "spoilt.pem"
    cut = text(leaf).partition(pem.END)[0]
    path.write_bytes(text(leaf, b"junk", issuing) + cut + text(root) + text(leaf).replace(b"M", b"?") + cut)
    numbers, answers = zip(*found(path), strict=True)
    assert numbers == (1, 2, 3, 4, 5, 6, 7)
    assert [answer for answer in answers if isinstance(answer, list)] == [[leaf], [issuing], [root]]
    assert [str(answer)[:30] for answer in answers if isinstance(answer, str)] == [
        "not a certificate: DER: an ele",
        "a PEM certificate without an e",
        "a PEM certificate that is not ",
        "a PEM certificate without an e",
    ]
    with pytest.raises(Malformed, match=r"spoilt\.pem: not a certificate"):
        pem.read(path)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r", b""])
def test_the_ends_of_lines_and_text_around_do_not_matter(ends: bytes, tmp_path: Path) -> None:
    leaf, issuing, _ = world().issue(world().profile())
    path = tmp_path / "text.pem"
    path.write_bytes(ends.join([b"0: subject", *text(leaf).split(b"\n"), b"issuer", *text(issuing).split(b"\n")]))
    assert found(path) == [(1, [leaf, issuing])]


def test_der_is_one_certificate_and_nothing_else(tmp_path: Path) -> None:
    leaf = world().issue(world().profile())[0]
    path = tmp_path / "one.der"
    path.write_bytes(leaf)
    assert found(path) == [(1, [leaf])]
    for spoilt in (leaf[:-1], leaf + b"\0", leaf + bytes(pem.MAX_CERTIFICATE_BYTES), b"\x30\x82", b"", b"\x30", b"?"):
        path.write_bytes(spoilt)
        [(number, why)] = found(path)
        assert (number, str(why)[:17]) == (1, "not a certificate")
    with pytest.raises(NotFound):
        list(pem.chains(tmp_path / "nowhere.der", MAX_CHAIN))


def test_a_block_without_an_end_is_not_gathered_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "long.pem"
    path.write_bytes(pem.BEGIN + b"\n" + (b"M" * 64 + b"\n") * (1 << 16) + pem.END)
    [(_, why)] = found(path)
    assert "over 1048576 bytes" in str(why)


@settings(max_examples=200, suppress_health_check=[*CHANCE, HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0, 1, 2, "text", "junk"]), max_size=12))
def test_every_certificate_of_a_file_comes_once_and_in_order(tmp_path: Path, kinds: list[int | str]) -> None:
    whole = world().issue(world().profile())
    path = tmp_path / "mixed.pem"
    parts = {"text": b"no certificate\n", "junk": text(b"junk")}
    path.write_bytes(b"".join(text(whole[kind]) if isinstance(kind, int) else parts[kind] for kind in kinds))
    blocks = [kind for kind in kinds if kind != "text"]
    if not blocks:
        return
    got: list[int | str] = []
    for number, each in pem.chains(path, MAX_CHAIN):
        assert number == len(got) + 1
        got += ["junk"] if isinstance(each, Malformed) else [whole.index(one.der) for one in each]
        if not isinstance(each, Malformed):
            assert all(above.subject == one.issuer for one, above in pairwise(each))
    assert got == blocks


def test_folders_are_gone_through_to_the_ground_and_links_to_folders_are_not(tmp_path: Path) -> None:
    leaf = world().issue(world().profile())[0]
    names = ["b.der", "a.CRT", "x/y/z.pem", "x/c.cer", "x/readme.txt", "x/y/no.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(leaf)
    (tmp_path / "x" / "folder.der").mkdir()
    (tmp_path / "x" / "again").symlink_to(tmp_path)
    (tmp_path / "link.der").symlink_to(tmp_path / "b.der")
    (tmp_path / "nothing.der").symlink_to(tmp_path / "nowhere")
    expected = [tmp_path / name for name in ("a.CRT", "b.der", "link.der", "nothing.der", "x/c.cer", "x/y/z.pem")]
    assert sorted(pem.walk([tmp_path])) == list(pem.files([tmp_path])) == expected
    assert list(pem.walk([tmp_path / "x/readme.txt"])) == [tmp_path / "x/readme.txt"]  # named, so meant


def test_a_folder_that_is_gone_when_its_turn_comes_is_named_like_a_file_and_the_rest_is_gone_through(
    tmp_path: Path,
) -> None:
    leaf = world().issue(world().profile())[0]
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
        (folder / "a.der").write_bytes(leaf)
    walked = pem.walk([tmp_path])
    first = next(walked)
    gone = next(folder for folder in folders if folder != first.parent)
    shutil.rmtree(gone)
    assert {first, *walked} == {gone if folder == gone else folder / "a.der" for folder in folders}
    with pytest.raises(NotFound):
        pem.read(gone)
