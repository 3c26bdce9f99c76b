"""Entry bundles: up to 256 entries, each behind its u16 length (C2SP tlog-tiles)."""

from collections.abc import Sequence

from log.errors import Malformed

BUNDLE_WIDTH = 256  # entries of a full bundle
MAX_ENTRY_SIZE = 65_535  # bytes of an entry, all that its length can say


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write a bundle; entries over `MAX_ENTRY_SIZE` were to be refused at submission."""
    if len(entries) > BUNDLE_WIDTH or any(len(entry) > MAX_ENTRY_SIZE for entry in entries):
        raise AssertionError("entries that do not fit into one bundle")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def split_bundle(data: bytes) -> list[bytes]:
    """Cut a bundle into its entries, or raise `Malformed`."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        if len(entries) == BUNDLE_WIDTH:
            raise Malformed(f"bundle of more than {BUNDLE_WIDTH} entries")
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if not start <= at <= len(data):
            raise Malformed("bundle cut short")
        entries.append(data[start:at])
    return entries
