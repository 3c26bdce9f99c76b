#!/usr/bin/env python3
# ruff: noqa: T201, PTH123, RET503, TRY004 - a script for readers, in the standard library alone
"""Check an evidence object with nothing but Python and `cryptography` (pip install cryptography).

    python3 standalone.py EVIDENCE.json KEY [KEY …]

A KEY is a verifier key (vkey) of the log or the witness that is accused, from a source that you trust: never from the
evidence. Exit 0: it is proven. Exit 1: it proves nothing. Exit 3: this script cannot tell, and says why.

It shares no line with the rest of Twinlog and is short, so that it can be read: RFC 6962 sections 2.1 (trees), 3.2
(SCTs) and 3.5 (heads), C2SP signed-note and tlog-cosignature. It checks E1 to E7. E8 is no proof by a signature, and
E9 needs the chains of governance: `twinlog verify-evidence` knows both.
"""

import base64
import hashlib
import json
import sys
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

MERGE_DELAY_MS, GRACE_MS = 60_000, 5_000  # what logs of Twinlog declare, and what E5 adds to it
Key = tuple[str, int, bytes, bytes]  # name, type, key, id


def b64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def need(condition: bool, why: str) -> None:
    if not condition:
        raise ValueError(why)


def middle_of(start: int, end: int) -> int:
    """Where a tree over these leaves splits: the largest power of two below its size."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def root_of(start: int, end: int, known: dict[tuple[int, int], bytes]) -> bytes:
    """The hash over leaves start..end, from hashes of parts into which it splits."""
    if (start, end) in known:
        return known[start, end]
    need(end - start != 1, "a hash is missing")
    if start == end:
        return hashlib.sha256().digest()
    middle = middle_of(start, end)
    return hashlib.sha256(b"\1" + root_of(start, middle, known) + root_of(middle, end, known)).digest()


def cover(start: int, end: int, old: int) -> list[tuple[int, int]]:
    """The parts of start..end that lie wholly left or right of leaf `old`, in order; those on the left are perfect."""
    width = end - start
    if start >= old or (end <= old and width & (width - 1) == 0):
        return [(start, end)] if width else []
    return cover(start, middle_of(start, end), old) + cover(middle_of(start, end), end, old)


def other_prefix(small: Any, large: Any, proof: Any) -> None:
    """E2 and E7: the larger signed tree begins with another tree than the smaller signed one."""
    parts, hashes = cover(0, large["size"], small["size"]), [b64(text) for text in proof["a"] + proof["b"]]
    need(len(parts) == len(hashes) and all(len(each) == 32 for each in hashes), "the proof has another length")
    need(len(proof["a"]) == sum(end <= small["size"] for _, end in parts), "the proof is split elsewhere")
    known = dict(zip(parts, hashes, strict=True))
    need(root_of(0, large["size"], known) == large["root"], "the hashes do not lead to the larger signed root")
    need(root_of(0, small["size"], known) != small["root"], "the smaller tree is the beginning of the larger")


def included(index: int, head: Any, leaf: bytes, path: list[bytes]) -> None:
    """The path leads from this leaf hash, at this index and no other, to the signed root."""
    need(0 <= index < head["size"], "the tree has no such entry")
    start, end, lefts = 0, head["size"], []
    while end - start > 1:
        middle = middle_of(start, end)
        lefts.append(index < middle)
        start, end = (start, middle) if index < middle else (middle, end)
    need(len(lefts) == len(path) and all(len(each) == 32 for each in path), "the path has another length")
    for left, sibling in zip(reversed(lefts), path, strict=True):
        leaf = hashlib.sha256(b"\1" + (leaf + sibling if left else sibling + leaf)).digest()
    need(leaf == head["root"], "the path does not lead to the signed root")


def digitally_signed(key: bytes, signed: bytes, message: bytes) -> None:
    """RFC 5246 section 4.7: hash, algorithm, length, signature; the key decides which algorithm."""
    public = load_der_public_key(key)
    need(int.from_bytes(signed[2:4], "big") == len(signed) - 4, "the signature has another length")
    if isinstance(public, rsa.RSAPublicKey):
        need(signed[:2] == b"\4\1" and public.key_size >= 2048, "not an RSA signature over SHA-256")
        public.verify(signed[4:], message, padding.PKCS1v15(), SHA256())
    elif isinstance(public, ec.EllipticCurvePublicKey):
        need(signed[:2] == b"\4\3" and public.curve.name == "secp256r1", "not a P-256 signature over SHA-256")
        public.verify(signed[4:], message, ec.ECDSA(SHA256()))
    else:
        raise ValueError("a log has a P-256 or RSA key")


def read_head(note: bytes, keys: list[Key]) -> Any:
    """A signed note with a checkpoint; every line of one of these keys must verify, and one must be there."""
    text, _, tail = note.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")  # no extension lines
    need(size == str(int(size)) and tail[-1:] == "\n", "not a signed checkpoint")
    signed, times = f"{text}\n".encode(), []
    for line in tail.split("\n")[:-1]:
        _, name, blob = line.split(" ")
        for key_name, kind, key, key_id in keys:
            if (name, b64(blob)[:4]) != (key_name, key_id):
                continue
            data, time = b64(blob)[4:], 0
            if kind == 1:
                Ed25519PublicKey.from_public_bytes(key).verify(data, signed)
            elif kind == 4:
                time = int.from_bytes(data[:8], "big") * 1000
                message = b"cosignature/v1\ntime %d\n" % (time // 1000) + signed
                Ed25519PublicKey.from_public_bytes(key).verify(data[8:], message)
            elif kind == 5:
                time = int.from_bytes(data[:8], "big")
                digitally_signed(key, data[8:], b"\0\1" + data[:8] + int(size).to_bytes(8, "big") + b64(root))
            else:
                raise NotImplementedError(f"signatures of type {kind:#04x}")
            times.append((kind, time))
    need(bool(times), "no signature by a key that was given")
    return {"origin": origin, "size": int(size), "root": b64(root), "times": times}


def read_key(text: str) -> Key:
    name, _, rest = text.partition("+")
    blob = b64(rest.partition("+")[2])
    hashed = hashlib.sha256(blob[1:]).digest() if blob[0] == 5 else blob[1:]
    return name, blob[0], blob[1:], hashlib.sha256(name.encode() + b"\n" + blob[:1] + hashed).digest()[:4]


def about_entry(evidence: Any, head: Any, keys: list[Key]) -> None:
    """E4, E5, E6: what the log has signed about one entry."""
    kind, leaf = evidence["kind"], b64(evidence["leaf"])
    leaf_hash, path = hashlib.sha256(b"\0" + leaf).digest(), [b64(each) for each in evidence.get("path", [])]
    if kind == "E6":
        time = int.from_bytes(leaf[2:10] if leaf[:2] == b"\0\0" else leaf[4:12], "big")
        need((leaf[:2] == b"\0\0") == any(k == 5 for _, k, *_ in keys), "a submitter may have chosen that time")
        need(any(time > (t if k == 5 else t + 999) for k, t in head["times"] if t), "the leaf is not later")
        return included(evidence["index"], head, leaf_hash, path)
    [key], sct = [key for _, k, key, _ in keys if k == 5], b64(evidence["sct"])
    need(sct[0] == 0 and sct[1:33] == hashlib.sha256(key).digest(), "the SCT is another log's")
    need(sct[41:46] == b"\0\x08\0\0\5" and (leaf[2:10], leaf[-8:]) == (sct[33:41], sct[43:51]), "of another leaf")
    digitally_signed(key, sct[51:], leaf)
    time, index = int.from_bytes(sct[33:41], "big"), int.from_bytes(sct[46:51], "big")
    if kind == "E4":
        need(b64(evidence["found"]) != leaf_hash, "the promise was kept")
        return included(index, head, b64(evidence["found"]), path)
    need(kind == "E5" and head["size"] <= index, "the head reaches the promised entry")
    need(max(t for _, t in head["times"]) > time + MERGE_DELAY_MS + GRACE_MS, "its time was not over")


def check(evidence: Any, keys: list[Key]) -> str:
    need(evidence.get("type") == "twinlog/evidence@v1", "not an evidence object")
    if (kind := evidence["kind"]) in ("E8", "E9"):
        raise NotImplementedError(f"{kind}: see the top of this file")
    heads = [read_head(b64(note), keys) for note in evidence["heads"]]
    one, two = heads[0], heads[-1]
    need(one["origin"] == two["origin"], "heads of two logs")
    if kind != "E7":
        need({evidence["log"]["origin"], *(name for name, *_ in keys)} == {one["origin"]}, "of another log")
    pairs = [(k, a, b) for k, a in one["times"] for other, b in two["times"] if k == other]
    across = kind == "E2" or (kind == "E7" and one["size"] != two["size"])
    need(across or evidence.get("proof") is None, "a proof where none is asked for")
    if kind == "E7":
        need(len(keys) == 1 and read_key(evidence["witness"]) == keys[0], "another witness")
        need(all(k in (4, 6) and time > 0 for head in heads for k, time in head["times"]), "no time is vouched for")
    if across:
        other_prefix(one, two, evidence["proof"])
    elif kind in ("E1", "E7"):
        need(one["size"] == two["size"] and one["root"] != two["root"], "the two heads agree")
    elif kind == "E3":
        need(one["size"] < two["size"] and any(a > b > 0 for _, a, b in pairs), "no shrinking is signed")
    elif kind == "E3b":
        need(one["size"] != two["size"] and any(k == 5 and a == b for k, a, b in pairs), "not of one moment")
    else:
        about_entry(evidence, one, keys)
    return f"{kind} against {one['origin'] if kind != 'E7' else keys[0][0]}"


def main(arguments: list[str]) -> int:
    try:
        with open(arguments[0], "rb") as file:
            print("PROVEN", check(json.load(file), [read_key(text) for text in arguments[1:]]))
    except NotImplementedError as error:
        print(f"CANNOT TELL: {error}")
        return 3
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        print(f"NOT PROVEN: {type(error).__name__} {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[2:] else __doc__)
