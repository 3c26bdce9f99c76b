"""The governance of a node, from outside: everything that it holds, and bringing it what it lacks.

Nothing a node says is believed: the genesis is pinned, and which actions count is decided here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import httpx

from log.client.entries import carried_entry
from log.client.exchange import Answer, exchange
from log.errors import Malformed, NotFound, Unreachable, VerificationError
from log.formats.action import SEQ_CONTENT_TYPE
from log.formats.action_list import ActionSummary, parse_next_seq, parse_rows
from log.formats.genesis import MAX_GENESIS_BYTES, Genesis
from log.formats.tlog_proof import LIMITS, TlogProof
from log.governance.chains import Signed
from log.governance.fold import check_genesis

DEADLINE_S = 30.0  # one request


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of an action that was brought."""

    signed: Signed
    receipt: bytes  # a tlog-proof, b"" when it was not taken
    next_seq: int | None  # that the node would take instead, when it said so
    reason: str  # why it was not taken, "" when it was


class GovernanceReader:
    """The governance log at `url`: its prefix, with the log's name."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url.rstrip("/")
        self._client = client

    async def genesis(self, pinned: bytes) -> Genesis:
        """Return the genesis with this SHA-256. `VerificationError` when the node goes by another one."""
        data = await self._get("genesis", MAX_GENESIS_BYTES)
        if sha256(data).digest() != pinned:
            raise VerificationError(f"{self._url}: its genesis is not the pinned one")
        genesis = Genesis.parse(data)
        check_genesis(genesis)
        return genesis

    async def actions(self, genesis: Genesis, known: Iterable[bytes] = ()) -> list[Signed]:
        """Return every action that the node holds and whose hash is not `known`."""
        if ActionSummary.parse(await self._get("actions")).genesis != genesis.hash:
            raise VerificationError(f"{self._url}: its genesis is not the pinned one")
        known_hashes = set(known)
        found = []
        for chain in genesis.chains:
            for seq, action in parse_rows(await self._get(f"actions/{chain}")):
                if action not in known_hashes:
                    found.append(await self._action(chain, seq, action))
        return found

    async def _action(self, chain: str, seq: int, action: bytes) -> Signed:
        raw = await self._get(f"action/{action.hex()}", LIMITS.max_bytes)
        note, _ = carried_entry(TlogProof.parse(raw)).action()
        signed = Signed.parse(note.encode())
        if (signed.hash, signed.action.chain, signed.action.seq) != (action, chain, seq):
            raise Malformed(f"{self._url}: another action than {chain} {seq}")
        return signed

    async def bring(self, signed: Signed) -> Brought:
        """Bring an action, with all the lines that are here. `Unreachable` when the node takes nothing now."""
        answer = await self._exchange("add-action", LIMITS.max_bytes, signed.note.encode())
        if answer.status == httpx.codes.OK:
            note, _ = carried_entry(TlogProof.parse(answer.body)).action()
            if Signed.parse(note.encode()).hash != signed.hash:
                raise Malformed(f"{self._url}: a receipt for another action")
            return Brought(signed, answer.body, None, "")
        if answer.status == httpx.codes.CONFLICT and answer.content_type == SEQ_CONTENT_TYPE:
            seq = parse_next_seq(answer.body)
            return Brought(signed, b"", seq, f"the next action of {signed.action.chain} there has seq {seq}")
        if answer.status == httpx.codes.TOO_MANY_REQUESTS or answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Unreachable(f"{self._url}: {answer.reason}")
        return Brought(signed, b"", None, answer.reason)

    async def _get(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        answer = await self._exchange(path, max_bytes)
        if answer.status == httpx.codes.OK:
            return answer.body
        if answer.status == httpx.codes.NOT_FOUND:
            raise NotFound(f"{self._url}/{path}: {answer.reason}")
        raise Unreachable(f"{self._url}/{path}: {answer.reason}")

    async def _exchange(self, path: str, max_bytes: int, body: bytes | None = None) -> Answer:
        return await exchange(
            *(self._client, "GET" if body is None else "POST", f"{self._url}/{path}", path),
            max_bytes=max_bytes,
            deadline_s=DEADLINE_S,
            body=body,
            content_type="text/plain",
        )
