"""What OpenAPI says of a route: a summary, its parameters and bodies, and the answers it may give."""

from http import HTTPStatus
from typing import Any

from log.api.reply import JSON, TEXT
from log.api.route import Route
from log.api.schemas import BODIES, SCHEMAS

_HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_REQUEST_ID = {"type": "string", "pattern": "^[0-9a-f]{16,}$"}
_INDEX = {"type": "integer", "minimum": 0}
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "log": ("Name of a log, as in /.well-known/twinlog.json", {"type": "string"}),
    "level": ("Level of the tile, 0 to 63", {"type": "integer", "minimum": 0, "maximum": 63}),
    "number": (
        "Number of the tile, as `x001/x234/067` or, for a partial tile, `x001/x234/067.p/<width>`",
        {"type": "string", "pattern": r"^(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?$"},
    ),
    "fingerprint": ("SHA-256 of the certificate", _HEX),
    "leaf": ("Leaf hash", _HEX),
    "head": ("`newest`: do not wait for the other side", {"type": "string", "enum": ["newest"]}),
    "origin_hash": ("SHA-256 of the origin", _HEX),
    "chain": ("Name of a chain: that of a side, or `joint`", {"type": "string"}),
    "action": ("SHA-256 of the action's text", _HEX),
    "digest": ("SHA-256 of the record", _HEX),
    "sig_digest": ("SHA-256 of the value of the signature", _HEX),
    "first": ("The smaller tree's size", _INDEX),
    "second": ("The larger tree's size, at most that of the newest head", _INDEX),
    "hash": ("Leaf hash in base64", {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"}),
    "tree_size": ("Size of the tree to prove it in", {"type": "integer", "minimum": 1}),
    "start": ("Index of the first entry", _INDEX),
    "end": ("Index of the last entry; the answer may end earlier", _INDEX),
    "leaf_index": ("Index of the entry", _INDEX),
}
_ANYWHERE = (401, 403, 404, 503)  # what any route may answer


def summary(route: Route) -> str:
    """Return what the first line of the handler's docstring says after the path."""
    line = (route.handler.__doc__ or "").partition("\n")[0]
    text = line.partition(": ")[2].rstrip(".")
    return text[:1].upper() + text[1:]


def names(pattern: str) -> list[str]:
    """Return the names in a pattern: `/{log}/tile/{level}/{number:path}` has log, level and number."""
    words = pattern.split("/")
    return [word[1:-1].removesuffix(":path") for word in words if word.startswith("{")]


def responses(route: Route) -> dict[int | str, dict[str, Any]]:
    """Return the answers a route may give. All but 200 are plain text, the status, then the reason, or as `says`."""
    described: dict[int | str, dict[str, Any]] = {
        status: {
            "description": HTTPStatus(status).phrase,
            "headers": {"X-Request-Id": {"description": "What its operator finds it under", "schema": _REQUEST_ID}},
            "content": {TEXT: {"schema": {"type": "string"}}},
        }
        for status in sorted({*_ANYWHERE, *route.sort.refuses})
    }
    schema = SCHEMAS.get(route.handler.__name__, {})
    described[200] = {"description": summary(route), "content": {route.sort.produces: {"schema": schema}}}
    for status, content_type in route.sort.says:
        described[status]["content"][content_type] = {"schema": schema if content_type == JSON else {"type": "string"}}
    return described


def operation(route: Route) -> dict[str, Any]:
    """Return parameters and request body of a route."""
    described: dict[str, Any] = {
        "parameters": [
            *(_parameter(name, "path", required=True) for name in names(route.pattern)),
            *(_parameter(name, "query", required=True) for name in route.sort.needs),
            *(_parameter(name, "query", required=False) for name in route.sort.query),
        ]
    }
    if route.sort.consumes is not None:
        schema = BODIES.get(route.handler.__name__, {"type": "string"})
        described["requestBody"] = {"required": True, "content": {route.sort.consumes: {"schema": schema}}}
    return described


def _parameter(name: str, place: str, *, required: bool) -> dict[str, Any]:
    description, schema = _PARAMETERS[name]
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema,
    }
