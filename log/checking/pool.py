"""The node's side of checking: starts the processes, shares the chains out, replaces a process that ended.

A process is given a few chains at a time, enough that it never waits. The others stand here and take turns by client
and issuer (`log.fair.turns`), so that who submits by the thousand delays the next one by a few checks.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import cast

from log.checking.claims import Claims
from log.checking.messages import Admit, Check, Frames, Refuse, Rules, decode_answer, frame
from log.errors import Unavailable
from log.fair.turns import Turns
from log.formats.family import Parts
from log.tally import Spread

logger = logging.getLogger("twinlog.checking")

_WORKER = "log.checking.worker"
_ROOT = Path(__file__).parents[2]  # where `log` is imported from


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much may be checked at once."""

    processes: int = 1
    max_checking: int = 4096  # chains that wait for their check, in all processes together
    restart_s: float = 1.0  # after a process that ended without having answered anything, or could not be started
    ahead: int = 32  # chains that one process is given before it has answered; two rounds of its answers
    max_claims: int = 4096  # issuing certificates whose key is remembered, about 200 bytes each


@dataclass(frozen=True, slots=True)
class Checked:
    """A submission that its log takes."""

    parts: Parts
    certificates: tuple[tuple[bytes, bytes], ...]  # (SHA-256, DER) of each behind the leaf, anchor last
    issuer: bytes  # SHA-256 of the SPKI that signed the leaf


@dataclass(frozen=True, slots=True)
class _Asked:
    """A chain that waits for its turn, and who waits for the answer."""

    check: Check
    answer: asyncio.Future[Admit | Refuse]


class Pool:
    """All checking processes of a node."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._rules: dict[str, Rules] = {}
        self._anchors: dict[str, dict[bytes, bytes]] = {}
        self._workers: list[_Worker] = []
        self._working: list[_Worker] = []  # those that have not ended
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._claims = Claims(limits.max_claims)
        self._turns: Turns[_Asked] = Turns()
        self._number = 0
        self._waiting = 0
        self.restarts = 0  # processes that ended and were replaced
        self.seconds = Spread()  # from a question to its answer

    @property
    def waiting(self) -> int:
        """Chains that wait for their answer, those being checked too."""
        return self._waiting

    @property
    def limit(self) -> int:
        """Chains that may wait."""
        return self._limits.max_checking

    @property
    def busy(self) -> tuple[int, int]:
        """How many processes run, and how many of them have a chain."""
        return len(self._working), sum(1 for worker in self._working if worker.waiting)

    def working(self) -> bool:
        """Say whether any process is there to check a chain, or there is no log to check for."""
        return not self._rules or bool(self._working)

    def admit(self, rules: Rules) -> None:
        """Check the chains of a log by these rules from now on."""
        self._rules[rules.log_name] = rules
        self._anchors[rules.log_name] = {sha256(certificate).digest(): certificate for certificate, _ in rules.anchors}
        self._claims.list(rules.log_name, self._anchors[rules.log_name].values())
        for worker in self._workers:
            worker.send(rules)

    def anchors(self, log_name: str) -> Mapping[bytes, bytes]:
        """Return the certificates (SHA-256 -> DER) under which a log admits."""
        return self._anchors[log_name]

    def claimed(self, log_name: str, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return every issuer (SHA-256 of an SPKI) whose submission this may be; () when only the check can tell."""
        return self._claims.of(log_name, chain)

    async def start(self) -> None:
        """Start the processes, unless they run or there is no log to check for."""
        for _ in range(len(self._keepers), self._limits.processes if self._rules else 0):
            self._keepers.append(asyncio.create_task(self._keep(await self._spawn()), name="checking"))

    async def stop(self) -> None:
        """Let the processes end. What still waits is answered with `Unavailable`."""
        self._stopping.set()
        for worker in self._workers:
            worker.close()
        await asyncio.gather(*self._keepers)

    async def check(
        self, log_name: str, chain: Sequence[bytes], precert: bool, client: str = "", issuer: bytes = b""
    ) -> Checked:
        """Return what a chain (DER, leaf first) is admitted as. Clients, and the issuers of each, take turns.

        `Malformed`, `Refused` and its kinds as `log.certs.chain` raises them; `Unavailable` when too many wait,
        or when the process ended before it answered.
        """
        if self._waiting >= self._limits.max_checking:
            raise Unavailable("too many chains wait for their check", reason="pool-full")
        if not self._working:
            raise Unavailable("no process checks chains now", 1, "checking")
        self._number += 1
        self._waiting += 1
        begun = perf_counter()
        asked = _Asked(Check(self._number, log_name, chain, precert), asyncio.get_running_loop().create_future())
        self._turns.put(client, issuer, asked)
        self._deal()
        try:
            answer = await asked.answer
        finally:
            self._waiting -= 1
            self.seconds.add(perf_counter() - begun)
        if isinstance(answer, Refuse):
            raise answer.error()
        anchors = self._anchors[log_name]
        if answer.digests:
            self._claims.learn(answer.digests[0], answer.issuer)
        behind = zip(answer.digests, (*chain[1:], None), strict=False)
        return Checked(
            Parts(answer.head, answer.tail),
            tuple((digest, anchors[digest] if certificate is None else certificate) for digest, certificate in behind),
            answer.issuer,
        )

    def _deal(self) -> None:
        """Give what is next to the least busy process, as long as one has room. Without any, nothing waits on."""
        # Every chain comes through here twice, and most nodes have one process: what is cheap for one is written out.
        while self._turns:
            worker: _Worker | None = None
            least = self._limits.ahead
            for each in self._working:
                if (busy := len(each.waiting)) < least:
                    worker, least = each, busy
            if worker is None and self._working:
                return
            asked = self._turns.take()
            if asked.answer.done():
                continue  # who asked is gone
            if worker is None:
                asked.answer.set_exception(_ended())
            else:
                worker.ask(asked)

    async def _spawn(self) -> "_Worker":
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _WORKER, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL, cwd=_ROOT
                )
        except BaseException:
            ours.close()
            raise
        _, worker = await asyncio.get_running_loop().create_connection(lambda: _Worker(process, self._room), sock=ours)
        for each in self._rules.values():
            worker.send(each)
        self._workers.append(worker)
        if not worker.ended.is_set():
            self._working.append(worker)
        return worker

    def _room(self, worker: "_Worker") -> None:
        """Go on: a process answered, or ended."""
        if worker.ended.is_set() and worker in self._working:
            self._working.remove(worker)
        self._deal()

    async def _keep(self, worker: "_Worker") -> None:
        """Replace a process that ends, until the pool stops."""
        keeping: _Worker | None = worker
        while keeping is not None:
            await keeping.ended.wait()
            code = await keeping.process.wait()
            self._workers.remove(keeping)
            if not self._stopping.is_set():
                self.restarts += 1
                logger.error("a checking process ended; another takes its place", extra={"fields": {"code": code}})
                if not keeping.answered:
                    await self._pause()
            keeping = await self._another()

    async def _another(self) -> "_Worker | None":
        """Start a process, as often as it takes: the machine may have no memory or files now. None: the pool stops."""
        while not self._stopping.is_set():
            try:
                worker = await self._spawn()
            except OSError as error:
                logger.warning("a checking process could not be started", extra={"fields": {"why": error.strerror}})
                await self._pause()
            else:
                if self._stopping.is_set():
                    worker.close()
                return worker
        return None

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._limits.restart_s)


class _Worker(asyncio.Protocol):
    """One process, and the chains that it has not answered yet. `on_room` is called when it can take more, or ended."""

    def __init__(self, process: asyncio.subprocess.Process, on_room: Callable[["_Worker"], None]) -> None:
        self.process = process
        self._on_room = on_room
        self.ended = asyncio.Event()
        self.answered = False  # whether it ever did
        self._frames = Frames()
        self.waiting: dict[int, asyncio.Future[Admit | Refuse]] = {}  # by number of the chain that it was given
        self._transport: asyncio.WriteTransport | None = None

    def send(self, message: Rules | Check) -> None:
        """Send a message; what the socket does not take yet is bounded by what may wait."""
        if self._transport is None:
            raise AssertionError("a message before the connection was made")
        self._transport.write(frame(message))

    def ask(self, asked: _Asked) -> None:
        """Send a chain; its answer comes to the future, `Unavailable` when the process ends without one."""
        self.waiting[asked.check.number] = asked.answer
        self.send(asked.check)

    def close(self) -> None:
        """Close our end, at which the process ends."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # a socket's; uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        self.answered = True
        for body in self._frames.feed(data):
            answer = decode_answer(body)
            future = self.waiting.pop(answer.number)
            if not future.done():
                future.set_result(answer)
        self._on_room(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(_ended())
        self.waiting.clear()
        self._on_room(self)


def _ended() -> Unavailable:
    return Unavailable("the process that checked this chain ended", 1, "checking")
