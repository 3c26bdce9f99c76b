"""Policies: which logs and which cosignatures someone relies on (C2SP tlog-policy).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member>...
    quorum <name>|none

The file is written by people: spaces, tabs, comments and empty lines are free. `parse` is as liberal as the
spec, and `encode` writes one canonical form, so `parse(encode(policy)) == policy` and not the other way
round. Bytes of 128 and above mean nothing: what is not UTF-8 is carried through as surrogate escapes.

A policy that contradicts itself cannot be built: `Policy(...)` raises `Malformed` just as `parse` does.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from log.errors import Malformed
from log.formats.note import KeyType, VKey
from log.formats.text import decimal

NO_QUORUM = "none"

_WITNESS_TYPES = frozenset({KeyType.COSIGNATURE, KeyType.MLDSA})


@dataclass(frozen=True, slots=True)
class PolicyLimits:
    """What a reader takes. The spec asks for at least 32 of each kind."""

    max_size: int = 1 << 20  # bytes, or characters of decoded text
    max_logs: int = 1024
    max_witnesses: int = 1024
    max_groups: int = 1024


LIMITS = PolicyLimits()


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A key of a log. The key's name is the origin; a log that signs with several keys has as many lines."""

    vkey: VKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness. `name` is for this file alone; the name in its signature lines is that of the key."""

    name: str
    vkey: VKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """Witnesses the checkpoint when `threshold` of the members do."""

    name: str
    threshold: int  # 1 <= threshold <= len(members)
    members: tuple[str, ...]  # witnesses, and groups that stand before this one


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs and witnesses that are known, and the quorum that makes a checkpoint valid."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str  # name of a witness or group, or NO_QUORUM

    def __post_init__(self) -> None:
        _check_distinct((line.vkey.key for line in self.logs), "two log lines with one public key")
        _check_distinct((witness.vkey.key for witness in self.witnesses), "two witnesses with one public key")
        defined: set[str] = set()
        for witness in self.witnesses:
            if witness.vkey.type not in _WITNESS_TYPES:
                raise Malformed(f"witness key of signature type {witness.vkey.type:#04x}")
            _define(defined, witness.name)
        for group in self.groups:
            if not defined.issuperset(group.members):
                raise Malformed("group with a member that is not defined before it")
            if not 1 <= group.threshold <= len(group.members):
                raise Malformed("group threshold outside 1 to the number of members")
            _define(defined, group.name)
        members = (member for group in self.groups for member in group.members)
        _check_distinct(members, "name that is a member twice")
        if self.quorum != NO_QUORUM and self.quorum not in defined:
            raise Malformed("quorum that is not defined")
        lines: tuple[PolicyLog | PolicyWitness, ...] = (*self.logs, *self.witnesses)
        for line in lines:
            _check_word(line.vkey.encode())  # a note takes the control byte 7f in a name, a policy does not
            if line.url is not None:
                _check_word(line.url)

    @classmethod
    def parse(cls, text: str | bytes, limits: PolicyLimits = LIMITS) -> Self:
        """Read a policy, or raise `Malformed` with the number of the line."""
        if len(text) > limits.max_size:
            raise Malformed(f"policy over {limits.max_size} bytes")
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        if any((char < " " and char not in "\t\n") or char == "\x7f" for char in text):
            raise Malformed("control byte in a policy")
        lines = text.split("\n")
        if lines.pop() != "":
            raise Malformed("policy whose last line does not end in LF")
        return cls._from_lines(lines, limits)

    @classmethod
    def _from_lines(cls, lines: list[str], limits: PolicyLimits) -> Self:
        found = _Lines()
        for number, line in enumerate(lines, start=1):
            # Only space and tab separate; `str.split` alone would also split at other Unicode spaces.
            items = [item for item in line.replace("\t", " ").split(" ") if item]
            if items and not items[0].startswith("#"):
                try:
                    found.take(items)
                except Malformed as e:
                    raise Malformed(f"policy line {number}: {e}") from e
        for kind, count, most in (
            ("logs", len(found.logs), limits.max_logs),
            ("witnesses", len(found.witnesses), limits.max_witnesses),
            ("groups", len(found.groups), limits.max_groups),
        ):
            if count > most:
                raise Malformed(f"policy of more than {most} {kind}")
        if found.quorum is None:
            raise Malformed("policy without a quorum line")
        return cls(tuple(found.logs), tuple(found.witnesses), tuple(found.groups), found.quorum)

    def encode(self) -> str:
        """Write the canonical form: logs, witnesses, groups, quorum; single spaces, no comments."""
        return "".join(f"{' '.join(items)}\n" for items in self._lines())

    def _lines(self) -> Iterator[list[str]]:
        for line in self.logs:
            yield ["log", line.vkey.encode(), *([] if line.url is None else [line.url])]
        for witness in self.witnesses:
            url = [] if witness.url is None else [witness.url]
            yield ["witness", witness.name, witness.vkey.encode(), *url]
        for group in self.groups:
            yield ["group", group.name, str(group.threshold), *group.members]
        yield ["quorum", self.quorum]

    def log_vkeys(self, origin: str) -> tuple[VKey, ...]:
        """The keys of one log, none if the policy does not know it."""
        return tuple(line.vkey for line in self.logs if line.vkey.name == origin)

    def witness_vkeys(self) -> tuple[VKey, ...]:
        """The keys of all witnesses, also of those on which no quorum depends."""
        return tuple(witness.vkey for witness in self.witnesses)

    def satisfied(self, cosigned: Collection[VKey]) -> bool:
        """Whether the quorum is met by the witnesses whose cosignatures on one checkpoint verified.

        `cosigned` holds their keys; keys that are not those of a witness of this policy do not count. That
        a log of the policy signed the checkpoint is not looked at here.
        """
        witnessed = {witness.name for witness in self.witnesses if witness.vkey in cosigned}
        for group in self.groups:  # members stand before their group
            if sum(member in witnessed for member in group.members) >= group.threshold:
                witnessed.add(group.name)
        return self.quorum == NO_QUORUM or self.quorum in witnessed


class _Lines:
    """The lines of a policy as they come. A name must be defined on a line above the one that uses it."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[PolicyGroup] = []
        self.quorum: str | None = None
        self._defined: set[str] = set()

    def take(self, items: list[str]) -> None:
        match items:
            case ["log", vkey, *url] if len(url) <= 1:
                self.logs.append(PolicyLog(VKey.parse(vkey), *url))
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self.witnesses.append(PolicyWitness(name, VKey.parse(vkey), *url))
                self._defined.add(name)
            case ["group", name, threshold, *members] if members:
                self._used(members)
                self.groups.append(PolicyGroup(name, _threshold(threshold, len(members)), tuple(members)))
                self._defined.add(name)
            case ["quorum", name] if self.quorum is None:
                self._used([] if name == NO_QUORUM else [name])
                self.quorum = name
            case ["quorum", _]:
                raise Malformed("second quorum line")
            case _:
                raise Malformed("neither log, witness, group nor quorum, or with a wrong number of items")

    def _used(self, names: list[str]) -> None:
        if not self._defined.issuperset(names):
            raise Malformed("name that is not defined on a line above")


def _threshold(text: str, members: int) -> int:
    match text:
        case "all":
            return members
        case "any":
            return 1
        case _:
            return decimal(text)


def _define(defined: set[str], name: str) -> None:
    _check_word(name)
    if name in defined or name == NO_QUORUM:
        raise Malformed("name that is defined twice, or reserved")
    defined.add(name)


def _check_word(word: str) -> None:
    """Raise `Malformed` unless this can be one item of a line."""
    if not word or any(char <= " " or char == "\x7f" for char in word):
        raise Malformed("empty item, or one with a space or control byte")


def _check_distinct(values: Iterable[bytes] | Iterable[str], what: str) -> None:
    seen: set[bytes | str] = set()
    for value in values:
        if value in seen:
            raise Malformed(what)
        seen.add(value)
