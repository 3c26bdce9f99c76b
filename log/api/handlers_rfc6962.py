"""The read API of RFC 6962 (sections 4.3 to 4.6 and 4.8), for logs of certificates.

How a query is read is what deployed clients and logs agree on: names in any order, others ignored, numbers in
decimal, the hash in base64 with `+` percent-encoded, as a plus sign in a query is a space. Cache-Control is
that of CTFE: a day for what can never change, a minute for a range that the tree does not fill yet.
"""

from typing import Any
from urllib.parse import unquote_plus

import msgspec

from log.api.reply import JSON, PRIVATE, Headers, Reply, headers
from log.api.route import Call, Site
from log.api.served import ServedCertificates
from log.errors import Malformed, NotFound
from log.formats.text import b64decode, decimal
from log.merkle.hashing import HASH_SIZE

LASTING = "public, max-age=86400"
GROWING = "public, max-age=60"

_STH = headers(JSON)
_LASTING = headers(JSON, LASTING)
_GROWING = headers(JSON, GROWING)
_RESTRICTED = headers(JSON, PRIVATE)

_QUERY_NAMES = 32  # at most so many names in a query, with those that are ignored


async def get_sth(site: Site, call: Call) -> Reply:
    """`/<log>/ct/v1/get-sth`: the newest signed tree head (RFC 6962 section 4.3)."""
    return _json((await _reads(site, call).sth()).to_json(), _STH)


async def get_sth_consistency(site: Site, call: Call) -> Reply:
    """`/<log>/ct/v1/get-sth-consistency`: the proof that one tree continues another (RFC 6962 section 4.4)."""
    reads = _reads(site, call)
    first, second = _query(call.query, "first", "second")
    proof = await reads.consistency(_number("first", first), _number("second", second))
    return _json({"consistency": proof}, _LASTING)


async def get_proof_by_hash(site: Site, call: Call) -> Reply:
    """`/<log>/ct/v1/get-proof-by-hash`: where a leaf is, and the proof of it (RFC 6962 section 4.5)."""
    reads = _reads(site, call)
    leaf, tree_size = _query(call.query, "hash", "tree_size")
    index, path = await reads.proof_by_hash(_hash(leaf), _number("tree_size", tree_size))
    return _json({"leaf_index": index, "audit_path": path}, _LASTING)


async def get_entries(site: Site, call: Call) -> Reply:
    """`/<log>/ct/v1/get-entries`: the entries of a range, both ends included (RFC 6962 section 4.6)."""
    reads = _reads(site, call)
    start, end = _query(call.query, "start", "end")
    entries, lasting = await reads.entries(_number("start", start), _number("end", end))
    return _json({"entries": entries}, _kept(call, _LASTING if lasting else _GROWING))


async def get_entry_and_proof(site: Site, call: Call) -> Reply:
    """`/<log>/ct/v1/get-entry-and-proof`: one entry with its inclusion proof (RFC 6962 section 4.8)."""
    reads = _reads(site, call)
    index, tree_size = _query(call.query, "leaf_index", "tree_size")
    entry, path = await reads.entry_and_proof(_number("leaf_index", index), _number("tree_size", tree_size))
    value = {"leaf_input": entry.leaf_input, "extra_data": entry.extra_data, "audit_path": path}
    return _json(value, _kept(call, _LASTING))


def _reads(site: Site, call: Call) -> ServedCertificates:
    reads = site.log(call.params[0]).certificates
    if reads is None:
        raise NotFound("that log holds no certificates; read its tiles")
    return reads


def _json(value: Any, fields: Headers) -> Reply:
    """Return a value as JSON; bytes in it are written in base64."""
    return Reply(200, fields, msgspec.json.encode(value))


def _kept(call: Call, fields: Headers) -> Headers:
    return _RESTRICTED if call.restricted else fields


def _query(query: bytes, *names: str) -> list[str]:
    """Return the values of these names, each of which must be there once; other names are ignored.

    Every proof is asked for so: urllib's parser, which does the same and more, took an eighth of the time of one.
    """
    fields = query.decode("latin-1").split("&")  # which takes every byte: not ASCII is neither number nor base64
    if len(fields) > _QUERY_NAMES:
        raise Malformed(f"a query of more than {_QUERY_NAMES} names")
    given: dict[str, list[str]] = {name: [] for name in names}
    for field in fields:
        name, _, value = field.partition("=")
        if (values := given.get(_unquoted(name))) is not None:
            values.append(_unquoted(value))
    for name, values in given.items():
        if len(values) != 1:
            raise Malformed(f"the query has {name} {len(values)} times; it takes {' and '.join(names)}, once each")
    return [value for values in given.values() for value in values]


def _unquoted(text: str) -> str:
    """Return a name or value of a form as it was before it was one."""
    return unquote_plus(text, "latin-1") if "%" in text or "+" in text else text


def _number(name: str, text: str) -> int:
    try:
        return decimal(text)
    except Malformed as error:
        raise Malformed(f"{name} is not a decimal number from 0 to 2^63 - 1, without leading zeros") from error


def _hash(text: str) -> bytes:
    try:
        return b64decode(text, HASH_SIZE)
    except Malformed as error:
        raise Malformed("hash is not the base64 of 32 bytes, percent-encoded") from error
