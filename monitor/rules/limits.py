"""The numbers that rules rest on: rows with a source and a date from which each holds, looked up as of a date.

One TOML file; `limits.toml` beside this one stands for none. The digest of its bytes is named by each finding.
"""

import datetime as dt
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any, Self

from log.errors import Malformed

_EPOCH = dt.date(1970, 1, 1)
_DAY_MS = 86_400_000
_INTEGER, _TEXT, _TEXTS, _NOTHING = "integer", "text", "texts", "nothing"
# What the value of each kind of row is, and whether its rows have names.
_KINDS = {
    "policy_arc": (_TEXT, False),
    "weak_hash": (_NOTHING, True),
    "rsa_bits": (_INTEGER, False),
    "curves": (_TEXTS, False),
    "validity_days": (_INTEGER, True),
    "serial_octets": (_INTEGER, False),
    "serial_bits": (_INTEGER, False),
    "class": (_TEXT, True),
    "company": (_TEXTS, False),
    "jurisdiction": (_TEXT, True),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One number or word, from a date on."""

    kind: str
    name: str  # "" where rows of this kind have none
    from_ms: int
    value: Any  # int, str, tuple of str or None, by the kind
    source: str


@dataclass(frozen=True)
class Limits:
    """All rows of one file."""

    version: str
    digest: bytes  # SHA-256 of the file
    rows: tuple[Row, ...]  # by date

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a file; `Malformed` for what is no such file, or lacks a kind of row."""
        try:
            table = tomllib.loads(data.decode())
        except ValueError as e:
            raise Malformed(f"limits: {e}") from e
        version = table.pop("version", None)
        if not isinstance(version, str):
            raise Malformed("limits: version is missing")
        if strange := table.keys() - _KINDS.keys():
            raise Malformed(f"limits: unknown: {min(strange)}")
        if missing := _KINDS.keys() - table.keys():
            raise Malformed(f"limits: missing: {min(missing)}")
        rows = [_row(kind, row) for kind, listed in table.items() for row in _listed(kind, listed)]
        return cls(version, sha256(data).digest(), tuple(sorted(rows, key=lambda row: row.from_ms)))

    @classmethod
    def usual(cls) -> Self:
        """Return those that come with the package."""
        return cls.parse(files("monitor.rules").joinpath("limits.toml").read_bytes())

    def find(self, kind: str, date_ms: int, name: str = "") -> Row | None:
        """Return the newest row of a kind and name that holds on a date, or None before there is one."""
        return self.on(date_ms).by_name.get((kind, name))

    def all(self, kind: str, date_ms: int) -> Mapping[str, Row]:
        """Return what holds of a kind on a date, by name."""
        return self.on(date_ms).by_kind.get(kind, _NO_ROWS)

    def on(self, date_ms: int) -> "Era":
        """Return all that holds on a date; the same object for all dates between two at which something changes."""
        return self._eras[bisect_right(self._dates, date_ms)]

    @cached_property
    def _dates(self) -> list[int]:
        return sorted({row.from_ms for row in self.rows})

    @cached_property
    def _eras(self) -> list["Era"]:
        """One for the time before each date, and one for that after the last."""
        found, by_name, by_kind = [Era({}, {})], dict[tuple[str, str], Row](), dict[str, dict[str, Row]]()
        for row, after in zip(self.rows, [*self.rows[1:], None], strict=True):
            by_name[row.kind, row.name] = row
            by_kind[row.kind] = by_kind.get(row.kind, {}) | {row.name: row}
            if after is None or after.from_ms > row.from_ms:
                found.append(Era(dict(by_name), dict(by_kind)))
        return found


@dataclass(frozen=True, eq=False)
class Era:
    """What holds between two dates. Its own key in a cache."""

    by_name: Mapping[tuple[str, str], Row]  # by kind and name
    by_kind: Mapping[str, Mapping[str, Row]]


_NO_ROWS: Mapping[str, Row] = {}


def _listed(kind: str, listed: object) -> list[Any]:
    if not isinstance(listed, list) or not listed:
        raise Malformed(f"limits: {kind} is no list of tables")
    return listed


def _row(kind: str, row: Any) -> Row:
    form, named = _KINDS[kind]
    wanted = {"from", "source"} | ({"name"} if named else set()) | (set() if form == _NOTHING else {"value"})
    if not isinstance(row, dict) or row.keys() != wanted:
        raise Malformed(f"limits: a row of {kind} has {', '.join(sorted(wanted))}")
    value, begins = row.get("value"), row["from"]
    if type(begins) is not dt.date or not isinstance(row["source"], str) or not row["source"]:
        raise Malformed(f"limits: {kind}: `from` is a date, `source` says where it is from")
    if not _fits(form, value) or not isinstance(row.get("name", ""), str):
        raise Malformed(f"limits: {kind}: a name is text, a value is {form}")
    kept = tuple(value) if isinstance(value, list) else value
    return Row(kind, row.get("name", ""), (begins - _EPOCH).days * _DAY_MS, kept, row["source"])


def _fits(form: str, value: object) -> bool:
    if form == _INTEGER:
        return type(value) is int and value > 0
    if form == _TEXT:
        return isinstance(value, str)
    if form == _TEXTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value is None
