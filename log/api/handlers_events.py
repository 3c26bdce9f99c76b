"""Signature events: members write them in signed requests; what was signed can be asked for (design.md section 5)."""

from log.api.handlers_read import is_digest, wants_newest
from log.api.reply import FRESH, JSON, PRIVATE, TEXT, Reply, headers
from log.api.route import Call, Site
from log.api.served import ServedEvents
from log.crypto.signed_requests import check_body
from log.errors import NotFound, Unauthenticated

_TAKEN = headers(JSON, PRIVATE)
_RECORD = _PROOF = headers(TEXT, PRIVATE)
_OPEN_PROOF = headers(TEXT, FRESH)


async def add_events(site: Site, call: Call) -> Reply:
    """`POST /<log>/add-events`: events of one member; a receipt or a reason for each (`log.formats.event_batch`)."""
    events = _events(site, call)
    events.arrive(call.client)
    if call.signed is None:
        raise Unauthenticated("events are taken in a request that a member signed")
    check_body(call.signed, call.body)
    answer = await events.add(call.signed, call.body, call.client)
    for word in answer.refused:
        site.metrics.refused(call.params[0], word)
    return Reply(200, _TAKEN, answer.body)


async def submission_record(site: Site, call: Call) -> Reply:
    """`/<log>/record/<SHA-256>`: the submission record that a leaf names (`log.formats.submission`)."""
    name = call.params[1]
    record = await _events(site, call).record(bytes.fromhex(name)) if is_digest(name) else None
    if record is None:
        raise NotFound("no submission record with that SHA-256")
    return Reply(200, _RECORD, record)


async def event(site: Site, call: Call) -> Reply:
    """`/<log>/event/<SHA-256>`: the proof of an event, with its entry, by the digest of its signature's value."""
    name, digest = call.params
    newest = wants_newest(call.query)
    if not is_digest(digest):
        raise NotFound("no event of a signature with that SHA-256")
    proof = await site.log(name).event_proof(bytes.fromhex(digest), newest=newest)
    return Reply(200, _PROOF if call.restricted else _OPEN_PROOF, proof)


def _events(site: Site, call: Call) -> ServedEvents:
    events = site.node.events.get(call.params[0])
    if events is None:
        raise NotFound("this node has no log of events of that name")
    return events
