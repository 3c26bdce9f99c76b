"""Heads that relying parties bring, and those that they are told of (monitoring.md §5.2, F7).

Whoever was shown a head may have been shown another one than we. A head is taken in as any other, whatever its age and
size; what no pinned key has signed is refused. Of one log `pollination_kept` are kept a day. Beyond that every tree
that is new, every head that contradicts another one, and every one that cannot be compared yet is kept all the same; of
heads of a tree that is kept already, the earliest and the latest stand for those between them (`store.spare`). What
witnesses have cosigned is kept of every one.

An STH of RFC 6962 is the checkpoint that its signature covers, with the 0x05 line alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from log.crypto.notes import Opened
from log.errors import BadSignature, Malformed
from log.evidence.heads import Head
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.note import KeyType, Note, Signature
from log.formats.text import b64decode, b64encode
from log.formats.tree_head import encode_tree_head_signature, signed_tree_head
from log.merkle.hashing import HASH_SIZE
from monitor.belated import Belated
from monitor.ledger import Ledger
from monitor.limits import Limits
from monitor.logs import FollowedLog, read_head
from monitor.outcome import Finding
from monitor.sources import UNREAD
from monitor.store import AGREED, Store
from monitor.store.spare import POLLINATION
from monitor.vouched import keep_lines

DAY_MS = 86_400_000
FRESH_MS = 14 * DAY_MS  # older heads are taken, and not told of (draft-ietf-trans-gossip-00)


class Pollination:
    """Takes heads in, and tells of heads."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        belated: Belated,
        logs: Callable[[], Mapping[str, FollowedLog]],
        limits: Limits,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._belated = belated
        self._logs = logs
        self._limits = limits
        self._now_ms = now_ms
        self._turn = asyncio.Lock()  # two heads that come at once are compared with each other too

    async def take(self, sths: list[Any], notes: list[bytes]) -> list[Finding]:
        """Take all in that are of logs which we follow, or none; return what they prove.

        `Malformed` for what is no head; `BadSignature` when none of them is of a log that we know, or one is not by
        its keys.
        """
        read = [self._of_sth(sth) for sth in sths] + [self._of_note(note) for note in notes]
        known = [pair for pair in read if pair is not None]
        if read and not known:
            raise BadSignature("no head of a log that is followed here")
        heads = [(followed, *read_head(raw, followed)) for followed, raw in known]
        findings: list[Finding] = []
        for followed, head, opened in heads:
            async with self._turn:
                findings += await self._take(followed, head, opened)
        return findings

    async def _take(self, followed: FollowedLog, head: Head, opened: Opened) -> list[Finding]:
        for witness in followed.witnesses:
            try:
                await keep_lines(self._store, followed, opened, witness.every, required=False)
            except BadSignature:
                continue  # whoever wrote that line, the witness did not
        if await self._is_spare(followed, head):
            await asyncio.to_thread(self._store.keep_spare, head, self._now_ms())
            # Another one may have come by another way since it was compared: it is kept by now, or meets this one.
            if await asyncio.to_thread(self._ledger.contradicts_nothing, followed, head):
                return []
        findings = (await self._ledger.take(followed, head.raw, POLLINATION))[2]
        await self._belated.settle_one(followed, head)
        return findings

    async def _is_spare(self, followed: FollowedLog, head: Head) -> bool:
        """Say whether there is no place for a head today, and others of its tree stand for it."""
        kept = await asyncio.to_thread(self._store.brought, followed.origin, self._now_ms() // DAY_MS)
        if kept < self._limits.pollination_kept:
            return False
        state = await asyncio.to_thread(self._store.state, head.origin, head.size, head.root)
        if state is None or not await asyncio.to_thread(self._ledger.contradicts_nothing, followed, head):
            return False
        if not await asyncio.to_thread(self._store.is_earliest, head):
            return True
        try:  # a leaf may be later than the earliest, and than no other
            return state == AGREED and await self._belated.later_leaf(followed, head) is None
        except UNREAD:
            return False

    def tell(self) -> dict[str, list[Any]]:
        """Return heads as STHs and as notes: of each log the newest, and more while there is room."""
        logs = list(self._logs().values())
        share = max(1, self._limits.pollination_heads // max(1, len(logs)))
        sths, notes = [], []
        for followed in logs:
            verified = self._store.verified(followed.origin)
            found = [] if verified is None else [verified.head]  # whatever was brought since
            found += [head for head in reversed(self._store.newest(followed.origin, share)) if head not in found]
            for head in found[:share]:
                if head.time_ms is not None and self._now_ms() - head.time_ms > FRESH_MS:
                    continue
                notes.append(b64encode(head.note))
                key = followed.tree_head_key
                if key is not None and any(kind is KeyType.TREE_HEAD for kind, _ in head.times):
                    log_id = b64encode(sha256(key.key).digest())
                    sth = signed_tree_head(head.note, key).to_json()
                    sths.append({"sth_version": 0, **sth, "log_id": log_id})
        return {"sths": sths, "notes": notes}

    def _of_sth(self, sth: object) -> tuple[FollowedLog, bytes] | None:
        match sth:
            case {
                "sth_version": 0,
                "tree_size": int(size),
                "timestamp": int(time_ms),
                "sha256_root_hash": str(root),
                "tree_head_signature": str(signed),
                "log_id": str(log_id),
            } if 0 <= size < 1 << 63 and 0 <= time_ms < 1 << 63:
                digest = b64decode(log_id, HASH_SIZE)
            case _:
                raise Malformed("not a signed tree head")
        for followed in self._logs().values():
            key = followed.tree_head_key
            if key is not None and sha256(key.key).digest() == digest:
                text = Checkpoint(followed.origin, size, b64decode(root, HASH_SIZE)).encode()
                line = Signature(key.name, key.key_id, encode_tree_head_signature(time_ms, b64decode(signed)))
                return followed, Note(text, (line,)).encode()
        return None

    def _of_note(self, raw: bytes) -> tuple[FollowedLog, bytes] | None:
        _, checkpoint = parse_signed(raw)
        followed = self._logs().get(checkpoint.origin)
        return None if followed is None else (followed, raw)
