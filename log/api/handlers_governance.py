"""The actions of governance, to read and to bring: who may do what in all logs, as signed history.

Reading is open to all. An action proves itself by its signatures, so bringing one needs no credential: monitors carry
them across, and an authority may bring its own.
"""

from log.api.handlers_read import digest
from log.api.reply import FRESH, JSON, TEXT, Reply, headers, json_reply
from log.api.route import Call, Site
from log.api.served import ServedActions
from log.errors import NotFound, OutOfTurn
from log.formats.action import SEQ_CONTENT_TYPE
from log.formats.text import b64encode

_TAKEN = headers(TEXT, FRESH)
_GENESIS = headers(JSON, FRESH)
_NEXT_SEQ = headers(SEQ_CONTENT_TYPE)


async def genesis(site: Site, call: Call) -> Reply:
    """`GET /<log>/genesis`: what all begins with, byte for byte; its SHA-256 is what is pinned."""
    return Reply(200, _GENESIS, _actions(site, call).ledger.genesis.encode())


async def actions(site: Site, call: Call) -> Reply:
    """`GET /<log>/actions`: how far each chain has come, and a digest of all that is held."""
    ledger = _actions(site, call).ledger
    return json_reply({"genesis": b64encode(ledger.genesis.hash), "digest": ledger.digest.hex(), "next": ledger.next})


async def chain(site: Site, call: Call) -> Reply:
    """`GET /<log>/actions/<chain>`: seq and hash of each action held; a seq that was signed twice has two."""
    ledger = _actions(site, call).ledger
    if call.params[1] not in ledger.next:
        raise NotFound("no chain of that name")
    return json_reply([[signed.action.seq, signed.hash.hex()] for signed in ledger.held(call.params[1])])


async def action(site: Site, call: Call) -> Reply:
    """`GET /<log>/action/<hash>`: the action as an entry, with its proof on the newest head."""
    return Reply(200, _TAKEN, await _actions(site, call).proof(digest(call.params[1])))


async def add_action(site: Site, call: Call) -> Reply:
    """`POST /<log>/add-action`: a signed action, or the proof that another governance log took it; a receipt."""
    try:
        return Reply(200, _TAKEN, await _actions(site, call).add(call.body))
    except OutOfTurn as error:
        return Reply(409, _NEXT_SEQ, b"%d\n" % error.next_seq)


def _actions(site: Site, call: Call) -> ServedActions:
    taken = site.node.actions.get(call.params[0])
    if taken is None:
        raise NotFound("this node has no governance log of that name, or goes by no genesis")
    return taken
