"""Two nodes as a process, whose logs lie when told to: `python -m tests.support.forkable FOLDER`.

Writes a monitor's settings into FOLDER (`World.write`), then one line of JSON to stdout: {"settings", "urls"}. One JSON
object a line on stdin, or posted to `/manage` of Hong Kong's node, says what its log of certificates is to do:

    {"do": "add", "count": 7}             entries, and a head over them
    {"do": "sign", "ahead_s": -3600}      the tree as it is, so many seconds from now
    {"do": "fork", "at": 511, "count": 1} go on as another log that parts from this one there
    {"do": "show", "at": 100}             show the head of such a fork (`count`, `ahead_s`), all else as it is
    {"do": "freeze"}                      leave the head as it is, however old it gets
    {"do": "answer", "with": "html"}      answer everything so: see ANSWERS
    {"do": "heal"}                        be honest again

Each is answered by {"size", "root", "time_ms"} of what is served, on stdout or as the body of the 200.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from monitor import main, settings
from tests.support import hostile
from tests.support.hostile import Reply
from tests.support.lying_log import Fault, LyingLog, Receive, Scope, Send
from tests.support.lying_node import LyingNode
from tests.support.lying_world import World, served

SIZE = 512  # whole tiles, for there are readers who leave others alone for minutes
ANSWERS: dict[str, Reply] = {
    "html": hostile.HTML,
    "nothing": hostile.EMPTY,
    "half": hostile.CUT,
    "loris": hostile.LORIS,
    "bomb": hostile.bomb(),
    "field": hostile.ENDLESS_FIELD,
    "busy": hostile.busy(503, 86_400),
    "redirect": hostile.redirect("http://127.0.0.1:1/"),
    "not found": hostile.NOT_FOUND,
}


class Forkable:
    """One log of a world, managed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.truth = world.hk_x509

    @property
    def shown(self) -> LyingLog:
        """What is served now."""
        return self.world.hk.logs[self.truth.name]

    async def do(self, said: dict[str, Any]) -> dict[str, Any]:
        """Do one thing; `KeyError` for what is not known."""
        log_, at, count = self.shown, said.get("at", self.truth.size), said.get("count", 0)
        time_ms = None if "ahead_s" not in said else self.world.clock() + 1000 * said["ahead_s"]
        match said["do"]:
            case "add":
                log_.add(count)
                await log_.sign()
            case "sign":
                await log_.sign(time_ms=time_ms)
            case "fork":
                fork = await self.truth.branch(at, count)
                await fork.sign(time_ms=time_ms)
                self.world.hk.logs[self.truth.name] = fork
            case "show":
                fork = await self.truth.branch(at, count)
                self.truth.remembered, self.truth.fault = await fork.sign(time_ms=time_ms), Fault.OLD_HEAD
            case "freeze":
                log_.frozen = True
            case "answer":
                reply = ANSWERS[said["with"]]
                log_.reply = lambda _: reply
            case "heal":
                self.world.hk.logs[self.truth.name] = self.truth
                self.truth.fault, self.truth.frozen, self.truth.reply = None, False, lambda _: None
            case other:
                raise KeyError(other)
        log_ = self.shown
        return {"size": log_.size, "root": log_.root_at(log_.size).hex(), "time_ms": log_._time_ms}


class Managed(LyingNode):
    """A node with `/manage`."""

    manage: Forkable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", "/manage"):
            await super().__call__(scope, receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            status, answer = 200, await self.manage.do(json.loads(body))
        except (ValueError, KeyError, TypeError) as e:
            status, answer = 400, {"error": str(e)}
        await Reply(status, ((b"content-type", b"application/json"),), json.dumps(answer).encode()).send(scope, send)


async def manage(world: World) -> Forkable:
    """Make a world's first node one that can be managed."""
    managed = Managed("hk", [world.hk_x509, world.hk_governance], world.clock)
    managed.manage = Forkable(world)
    world.hk, world.nodes = managed, (managed, world.gd)
    await world.begin({world.hk_x509.origin: SIZE})
    return managed.manage


def serve(folder: Path) -> None:
    """Serve until stdin ends."""
    world = World(main.now_ms)
    forkable = asyncio.run(manage(world))
    with served(world.nodes) as urls:
        path = world.write(folder, urls, "poll_s = 0.1\n", LIMITS)
        main.create_state(settings.load(path))
        print(json.dumps({"settings": str(path), "urls": urls}), flush=True)
        for line in sys.stdin:
            print(json.dumps(asyncio.run(forkable.do(json.loads(line)))), flush=True)


LIMITS = "request_s = 2.0\nsurvey_s = 0.5\nrefresh_s = 0.5\nretry_after_s = 1.0\n"

if __name__ == "__main__":
    serve(Path(sys.argv[1]))
