"""Every parser against its corpus, against what is nearly in it, and against the large and the endless."""

import importlib
import inspect
import pkgutil
import tracemalloc
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.fuzz.parsers as table
from log import certs, formats, merkle
from tests.fuzz.parsers import CORPUS, PARSERS, Parser

WORDS = ("parse", "decode", "from_json", "split", "signed_", "strip_", "embedded_", "verify")
MORE_WORDS = ("b64decode", "decimal", "dotted", "oid")
# Called by those that the table has, with bytes that these have measured or by other rules.
INNER = {
    "formats.text:b64encode",
    "merkle.hashing:split_hashes",  # of stored tiles, whose length was checked
    "merkle.proof:verify_inclusion",  # of hashes, not of bytes
    "merkle.proof:verify_consistency",
}
PEAK_BYTES = 16 << 20
LARGE = 16 << 10

each_parser = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)


@cache
def corpus(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def name_of(parser: Parser) -> str:
    return next(name for name, each in PARSERS.items() if each is parser)


def public_parsers() -> set[str]:
    found = set()
    for package in (formats, certs, merkle):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            loaded = importlib.import_module(module.name)
            own = [(n, v) for n, v in vars(loaded).items() if getattr(v, "__module__", "") == module.name]
            names = [n for n, v in own if inspect.isfunction(v)]
            names += [
                f"{n}.{m}"
                for n, v in own
                if inspect.isclass(v)
                for m in vars(v)
                if m in {"parse", "decode", "from_json"}
            ]
            found |= {
                f"{module.name.removeprefix('log.')}:{name}"
                for name in names
                if name.rpartition(".")[2].startswith((*WORDS, *MORE_WORDS))
            }
    return found


def test_every_public_parser_is_fuzzed() -> None:
    covered = {name for parser in PARSERS.values() for name in parser.covers}
    assert public_parsers() - covered == INNER & public_parsers()
    for name in covered:
        module, _, function = name.partition(":")
        found = importlib.import_module(f"log.{module}")
        for part in function.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_every_parser_has_a_corpus_and_no_corpus_is_an_orphan() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(PARSERS)
    assert all(corpus(name) for name in PARSERS)
    assert sum(len(data) for name in PARSERS for data in corpus(name)) < 4 << 20


@each_parser
def test_the_corpus(parser: Parser) -> None:
    taken = [parser.check(data) for data in corpus(name_of(parser))]
    lax = {"signed-note", "signed-tree-head", "signed-trust-list", "evidence", "sm2"}  # nobody signed these
    assert any(taken) or name_of(parser) in lax


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> bytes:
    """Bytes of a corpus with something flipped, cut out, said twice, or spliced in from another of them."""
    known = st.sampled_from(corpus(name))
    data = draw(known)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, len(data)))
        match draw(st.integers(0, 5)):
            case 0:
                flips = draw(
                    st.lists(st.tuples(st.integers(0, max(len(data) - 1, 0)), st.integers(1, 255)), max_size=4)
                )
                changed = bytearray(data)
                for at, mask in flips if data else ():
                    changed[at] ^= mask
                data = bytes(changed)
            case 1:
                data = data[:start]
            case 2:
                data = data[:end] + data[start:]
            case 3:
                other = draw(known)
                data = data[:start] + other[draw(st.integers(0, len(other))) :]
            case 4:
                data = data[:start] + draw(st.binary(max_size=8)) + data[end:]
            case _:
                data = data[:start] + data[end:]
    return data


@each_parser
@given(drawn=st.data())
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_what_is_nearly_right(parser: Parser, drawn: st.DataObject) -> None:
    parser.check(drawn.draw(spoilt(name_of(parser))))


@each_parser
@given(data=st.binary(max_size=300))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_any_bytes(parser: Parser, data: bytes) -> None:
    parser.check(data)


SHAPES = [b"\0", b"0", b"9", b"[", b'{"a":', b"\n", b"\n\n", b"\x30\x80", b"\xff", "— a ".encode(), b"a=b&", b"a/"]


@each_parser
def test_much_of_the_same_takes_no_more_memory_than_some_times_its_size(parser: Parser) -> None:
    largest = max(corpus(name_of(parser)), key=len) or b"x"
    for shape in (*SHAPES, largest):
        data = shape * (LARGE // len(shape))
        tracemalloc.start()
        try:
            parser.check(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < PEAK_BYTES, shape


def test_the_table_stands_alone() -> None:
    """The fuzzers' processes import it without pytest."""
    assert "pytest" not in inspect.getsource(table)
