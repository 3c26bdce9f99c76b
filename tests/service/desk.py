"""A log of events with its records, as its members use it: what the tests of events share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from log.errors import LogError
from log.formats.event_batch import EventResults
from log.formats.event_codes import Standing
from log.formats.family import EVENTS
from log.formats.policy import Policy
from log.formats.tlog_proof import EntryExtra, TlogProof
from log.sequencer.loop import SequencerConfig
from log.service.admission import Admission, AdmissionLimits
from log.service.event_judge import EventJudge
from log.service.event_names import Known
from log.service.events import EventAnswer, EventIntake, EventLimits
from log.service.log import Log
from log.service.references import References
from log.storage.memory import Disk, MemoryRecords
from tests.support.engine import AT_ONCE, ORIGIN, Engine, MemoryPlace, log_signers, witness_signer
from tests.support.faults import Faults
from tests.support.members import Sender, batch, members

PLATFORM, CA, BANK = Sender(), Sender("hk/hongkong-post", "ca"), Sender("hk/bank", "relying-party")
MEMBERS = members(PLATFORM, CA, BANK)
WITNESS = witness_signer("hk.example/witness", 30)
FOREIGN = "gd.example/x509"
FOREIGN_SIGNERS = log_signers(FOREIGN, 3)
KNOWN = Known(
    {"hongkong-post"},
    {"organisational"},
    {ORIGIN, "hk.example/certificates", FOREIGN, "sd.example/x509"},
    lambda member: MEMBERS.role(member, 0) is not None,
)
CERTIFICATE = b"\x30 a certificate"
POLICY = Policy.parse("".join(f"log {s.vkey.encode()}\n" for s in log_signers()) + "quorum none\n")


@dataclass(slots=True)
class Desk:
    """A log of events with its records, over processes; beside it a log of certificates on the same node."""

    engine: Engine
    disk: Disk = field(default_factory=Disk)  # of the records
    limits: EventLimits = field(default_factory=EventLimits)
    refused: frozenset[Standing] = frozenset()
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    others: dict[str, Log] = field(default_factory=dict)
    failures: list[LogError] = field(default_factory=list)
    opened: list[EventIntake] = field(default_factory=list)

    def intake(self, faults: Faults | None = None) -> EventIntake:
        """Open the records anew, as a process does when it starts."""
        clock = self.engine.clock
        logs = {**self.others, ORIGIN: self.engine.running}
        made = EventIntake(
            self.engine.running,
            MemoryRecords(self.disk, (faults or Faults(0, written=False)).carry),
            EventJudge(References(lambda: logs, lambda: (WITNESS.vkey,)), MEMBERS, lambda: KNOWN, clock, self.refused),
            Admission(self.admission, clock.mono_ms),
            clock,
            self.limits,
            self.failures.append,
        )
        self.opened.append(made)
        return made

    async def crash(self) -> None:
        await self.engine.crash()
        await self.close()

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()

    @property
    def now_s(self) -> int:
        return self.engine.clock.wall_ms() // 1000


def engine_of(place: MemoryPlace | None = None, config: SequencerConfig = AT_ONCE) -> Engine:
    return Engine(place or MemoryPlace(), family=EVENTS, config=config)


async def send(
    intake: EventIntake,
    seq: int,
    events: Sequence[object],
    sender: Sender = PLATFORM,
    *,
    created_s: int = 1_800_000_000,
    body: bytes | None = None,
) -> EventAnswer:
    body = body or batch(sender.member, seq, events)  # type: ignore[arg-type]
    return await intake.add(sender.submission(body, created_s), body, "client")


def receipts(answer: EventAnswer) -> list[TlogProof]:
    return [TlogProof.parse(each.receipt) for each in EventResults.parse(answer.body).results if each.receipt]


def reasons(answer: EventAnswer) -> list[str]:
    return [each.refused for each in EventResults.parse(answer.body).results if each.refused]


def standing(answer: EventAnswer) -> Standing:
    [proof] = receipts(answer)
    return EntryExtra.parse(proof.extra or b"").entry.logged_event().certificate_standing
