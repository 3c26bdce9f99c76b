"""A folder of governance: a genesis, actions and drafts, one file each, to be carried between people and machines.

    genesis.json              what all begins with; its SHA-256 is what is pinned
    hk-3.draft                the text of an action that nobody has signed
    hk-3.action               the action as a signed note, once the first authority has signed it
    hk-3.tlog-proof           the receipt of a node that took it

A second action of the same seq, which an authority should never sign, stands beside as `hk-3-<hash>.action`.
Nothing in a folder is trusted for being there: `read` leaves out what does not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from log.errors import Malformed, SettingsError
from log.formats.action import Action
from log.formats.genesis import Genesis
from log.formats.note import Note, Signature
from log.governance.chains import Chains, Signed, arrange, check_kind
from log.governance.fold import check_genesis

GENESIS_FILE = "genesis.json"
_SHORT = 8  # hex digits of a hash in a file's name


@dataclass(frozen=True, slots=True)
class Folder:
    """Where genesis and actions lie."""

    path: Path

    def genesis(self) -> Genesis:
        """Return the genesis; `SettingsError` when there is none, `Malformed` when it cannot be read."""
        genesis = Genesis.parse(_read(self.path / GENESIS_FILE))
        check_genesis(genesis)
        return genesis

    def signed(self) -> Iterator[tuple[Path, Signed]]:
        """Yield every action that can be read, with its file. `Malformed` names the file that cannot."""
        for path in sorted(self.path.glob("*.action")):
            try:
                yield path, Signed.parse(_read(path))
            except Malformed as error:
                raise Malformed(f"{path}: {error}") from error

    def chains(self) -> Chains:
        """Return what counts of all that lies here."""
        return arrange(self.genesis(), (signed for _, signed in self.signed()))

    def draft(self, chain: str, kind: str, payload: dict[str, object], effective_ms: int) -> Path:
        """Write the next action of a chain, unsigned, and return its file.

        `Malformed` for an action of no kind, and in a chain that is disputed; `SettingsError` when the file is there.
        """
        chains = self.chains()
        if chain not in chains.chains:
            raise Malformed(f"this genesis has the chains {', '.join(chains.chains)}")
        check_kind(kind, chain, payload, effective_ms)
        held = chains.chains[chain]
        if held.disputed:
            raise Malformed(f"seq {held.next_seq} of {chain} is signed twice: only new keys from that seq on end it")
        genesis = chains.genesis
        previous = held.next_previous(genesis)
        action = Action(genesis.hash, chain, held.next_seq, previous, kind, effective_ms, payload)
        path = self.path / f"{chain}-{action.seq}.draft"
        if path.exists():
            raise SettingsError(f"{path} is there already; sign it, or remove it")
        path.write_bytes(action.encode())
        return path

    def keep(self, action: Action, lines: tuple[Signature, ...]) -> Path:
        """Put lines under an action, beside those that are there, and return its file."""
        path = self.path / f"{action.chain}-{action.seq}.action"
        if path.exists() and Note.parse(_read(path)).text != action.encode():
            path = path.with_stem(f"{path.stem}-{action.hash.hex()[:_SHORT]}")
        held = Note.parse(_read(path)).signatures if path.exists() else ()
        fresh = [line for line in lines if not any((line.name, line.key_id) == (o.name, o.key_id) for o in held)]
        whole = path.with_suffix(".part")
        whole.write_bytes(Note(action.encode(), (*held, *fresh)).encode())
        whole.replace(path)
        return path

    def keep_receipt(self, signed: Signed, receipt: bytes) -> Path:
        """Write a node's receipt beside its action, and return its file."""
        path = next(path for path, each in self.signed() if each.hash == signed.hash).with_suffix(".tlog-proof")
        whole = path.with_suffix(".part")
        whole.write_bytes(receipt)
        whole.replace(path)
        return path


def read_action(path: Path) -> Action:
    """Return the action in a draft or in a signed note; `Malformed` when the file is neither."""
    raw = _read(path)
    text = raw if path.suffix == ".draft" else Note.parse(raw).text
    action = Action.parse(text)
    check_kind(action.type, action.chain, action.payload, action.effective_ms)
    return action


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
