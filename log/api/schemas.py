"""What the JSON answers and bodies hold, as JSON Schema for the description. Each member named here is always there.

Answers of RFC 6962 have exactly its members; those of the node itself may come to have more.
"""

from typing import Any

from log.formats.logged_event import MAX_EVENTS
from log.formats.names import EVENTS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TRUTH: Schema = {"type": "boolean"}
_BASE64: Schema = {"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$", "contentEncoding": "base64"}
_HASH: Schema = {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$", "contentEncoding": "base64"}
_HASHES: Schema = {"type": "array", "items": _HASH, "maxItems": 63}


def _object(members: dict[str, Schema], *, closed: bool = True) -> Schema:
    described: Schema = {"type": "object", "required": list(members), "properties": members}
    return described | ({"additionalProperties": False} if closed else {})


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_ENTRY = {"leaf_input": _BASE64, "extra_data": _BASE64}
_SCT = _object(
    {
        "sct_version": {"type": "integer", "enum": [0]},
        "id": _HASH,
        "timestamp": _COUNT,
        "extensions": _BASE64,
        "signature": _BASE64,
    }
)
_LOG = _object(
    {
        "name": _TEXT,
        "family": _TEXT,
        "origin": _TEXT,
        "identity": _BASE64,
        "url": _TEXT,
        "vkeys": _TEXTS,
        "log_id": _maybe(_HASH),
        "window": _maybe({"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}),
        "policy": _TEXT,
    },
    closed=False,
)
_HEALTH_OF_LOG = _object(
    {
        "name": _TEXT,
        "origin": _TEXT,
        "size": _COUNT,
        "head_age_ms": {"type": "integer"},
        "witnessed_size": _maybe(_COUNT),
        "witnessed_age_ms": _maybe({"type": "integer"}),
        "vouched_by": _TEXTS,
        "pool": _COUNT,
        "guarded": _TRUTH,
        "last_error": _TEXT,
    },
    closed=False,
)
_WORDS: Schema = {"type": "object", "additionalProperties": _TEXT}

# By the name of the handler.
SCHEMAS: dict[str, Schema] = {
    "well_known": _object(
        {
            "node": _TEXT,
            "version": _TEXT,
            "logs": {"type": "array", "items": _LOG},
            "witness": _object({"name": _TEXT, "vkey": _TEXT, "url": _TEXT}, closed=False),
        },
        closed=False,
    ),
    "healthz": _object(
        {
            "node": _TEXT,
            "ok": _TRUTH,
            "problems": _TEXTS,
            "disk_free_bytes": _COUNT,
            "sm2": _TRUTH,
            "guards": _TEXTS,
            "logs": {"type": "array", "items": _HEALTH_OF_LOG},
        },
        closed=False,
    ),
    "hear_guard": _object({"guarded": _TRUTH, "origins": _WORDS, "peers": _WORDS}, closed=False),
    "genesis": {"type": "object"},
    "actions": _object({"genesis": _HASH, "digest": _TEXT, "next": {"type": "object"}}, closed=False),
    "chain": {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}},
    "get_roots": _object({"certificates": {"type": "array", "items": _BASE64}}),
    "get_sth": _object(
        {"tree_size": _COUNT, "timestamp": _COUNT, "sha256_root_hash": _HASH, "tree_head_signature": _BASE64}
    ),
    "get_sth_consistency": _object({"consistency": _HASHES}),
    "get_proof_by_hash": _object({"leaf_index": _COUNT, "audit_path": _HASHES}),
    "get_entries": _object({"entries": {"type": "array", "items": _object(_ENTRY), "minItems": 1}}),
    "get_entry_and_proof": _object({**_ENTRY, "audit_path": _HASHES}),
    "add_chain": _SCT,
    "add_pre_chain": _SCT,
    "add_events": _object(
        {
            "results": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_EVENTS,
                "items": {"anyOf": [_object({"receipt": _BASE64}), _object({"refused": _TEXT})]},
            }
        }
    ),
}

_CHAIN = {
    "type": "object",
    "required": ["chain"],
    "properties": {
        "chain": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "contentEncoding": "base64"},
            "description": "DER certificates, the leaf first; the root may be left out",
        }
    },
}
_EVENT = _object({"event": {"type": "object"}, "certificate_proof": _maybe(_BASE64)})
_BATCH = _object(
    {
        "format": {"type": "string", "enum": [EVENTS]},
        "member": _TEXT,
        "seq": {"type": "integer", "minimum": 1},
        "events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": _EVENT},
    }
) | {"description": "Canonical JSON (RFC 8785), in a request that the member signed (RFC 9421)"}

# Of the bodies that are JSON, by the name of the handler.
BODIES: dict[str, Schema] = {"add_chain": _CHAIN, "add_pre_chain": _CHAIN, "add_events": _BATCH}
