"""Lines of witnesses on a head, whoever shows it: verified, and kept as what each has vouched for (E7 rests on it)."""

import asyncio
from collections.abc import Iterable

from log.crypto.notes import Opened, verify_line
from log.errors import BadSignature
from log.formats.note import Signature, VKey
from monitor.logs import FollowedLog
from monitor.store import Store, Vouched


async def keep_lines(
    store: Store, followed: FollowedLog, opened: Opened, witnesses: Iterable[VKey], *, required: bool
) -> dict[VKey, Signature]:
    """Verify and keep the cosignatures of these witnesses on a head; return them.

    A line of a witness that does not verify is `BadSignature`, as is, where `required`, none at all.
    """
    text, found = opened.note.text, {}
    own = opened.reduced()
    for vkey in witnesses:
        for line in opened.note.signatures:
            if vkey.owns(line) and vkey not in found:
                time_s = (verify_line(text, line, vkey) or 0) // 1000
                found[vkey] = line
                vouched = Vouched(
                    opened.checkpoint.size,
                    opened.checkpoint.root,
                    time_s,
                    own.with_signatures([*own.signatures, line]).encode(),
                )
                await asyncio.to_thread(store.keep_cosigned, followed.origin, vkey.encode(), vouched)
    if required and not found:
        raise BadSignature("no cosignature of its own")
    return found
