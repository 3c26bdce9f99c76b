"""Writing to a log: certificate chains (RFC 6962 section 4, static-ct-api), cosignatures, entries of open test logs."""

from collections.abc import Sequence

import msgspec

from log.api.reply import FRESH, TEXT, Reply, headers, json_reply
from log.api.route import Call, Site
from log.api.served import ServedIntake
from log.errors import Malformed, NotFound
from log.formats.text import b64decode, b64encode

_TAKEN = headers(TEXT, FRESH)


class _ChainRequest(msgspec.Struct):
    """RFC 6962 section 4.1; unknown members are ignored."""

    chain: list[str]


class _PlainChainRequest(msgspec.Struct):
    """The same, when nothing wraps the base64: decoded where the JSON is."""

    chain: list[bytes]


_PLAIN_DECODER = msgspec.json.Decoder(_PlainChainRequest)
_DECODER = msgspec.json.Decoder(_ChainRequest)
_LINE_ENDS = str.maketrans("", "", "\r\n")


async def add_chain(site: Site, call: Call) -> Reply:
    """`POST /<log>/ct/v1/add-chain`: a final certificate and its chain; the answer is its SCT."""
    return await _add(site, call, precert=False)


async def add_pre_chain(site: Site, call: Call) -> Reply:
    """`POST /<log>/ct/v1/add-pre-chain`: the same for a precertificate."""
    return await _add(site, call, precert=True)


async def get_roots(site: Site, call: Call) -> Reply:
    """`GET /<log>/ct/v1/get-roots`: every root under which the log admits (RFC 6962 section 4.7)."""
    return json_reply({"certificates": [b64encode(root) for root in _intake(site, call).roots()]})


async def add_cosignatures(site: Site, call: Call) -> Reply:
    """`POST /<log>/add-cosignatures`: a head of this log with lines of witnesses."""
    await site.log(call.params[0]).add_cosignatures(call.body)
    return Reply(200, _TAKEN, b"")


async def add_entry(site: Site, call: Call) -> Reply:
    """`POST /<log>/add`: an entry of an open test log, any bytes; the answer is its index."""
    intake = site.node.open_intakes.get(call.params[0])
    if intake is None:
        raise NotFound("this node has no open log of that name")
    return Reply(200, _TAKEN, b"%d" % await intake.add(call.body))


async def _add(site: Site, call: Call, *, precert: bool) -> Reply:
    intake = _intake(site, call)
    intake.arrive(call.client)
    sct = await intake.add_chain(parse_chain(call.body), precert, call.client)
    return json_reply(sct.to_json())


def _intake(site: Site, call: Call) -> ServedIntake:
    intake = site.node.intakes.get(call.params[0])
    if intake is None:
        raise site.nowhere(call.params[0], "log of certificates")
    return intake


def parse_chain(body: bytes) -> Sequence[bytes]:
    """Return the DER certificates of a request, leaf first, or raise `Malformed`.

    Deployed clients wrap the base64 in lines, escaped as JSON demands: those line ends are dropped. A raw
    line end inside a string is no JSON.
    """
    try:
        plain = _PLAIN_DECODER.decode(body).chain
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _wrapped_chain(body)
    if not plain:
        raise Malformed("the chain is empty")
    return plain


def _wrapped_chain(body: bytes) -> Sequence[bytes]:
    """Return the certificates of a request whose base64 holds escaped line ends; `Malformed` for all else."""
    try:
        request = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise Malformed('the body is not JSON of the form {"chain": ["<base64>", …]}') from e
    return [_certificate(number, text) for number, text in enumerate(request.chain)]


def _certificate(number: int, text: str) -> bytes:
    try:
        return b64decode(text.translate(_LINE_ENDS))
    except Malformed as e:
        raise Malformed(f"certificate {number}: {e}") from e
