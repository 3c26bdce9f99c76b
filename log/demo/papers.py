"""What the demonstration has signed and logs as events: on either side, and across the border.

    tenancy     a person signs with a Hong Kong certificate; Hong Kong's platform logs it, and nothing says who
    supply      a Hong Kong organisation signs; Guangdong's platform logs it and proves where its certificate is logged
    acceptance  a Guangdong organisation signs the same contract; Hong Kong's platform logs it as a countersignature

Each lies in a folder of its own, as on the machine of whoever signed: document, certificate, signature, receipt.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from log.client.event_sender import send_events
from log.client.event_verifier import certificate_ref, verify_receipt
from log.client.events import event_ref, sign_event
from log.client.held import Held
from log.client.http import HttpLog
from log.client.proofs import ProofSource, upgrade
from log.crypto.member_keys import MemberKey
from log.demo.ca import Signer
from log.demo.deployment import PLATFORMS, NodeSite, listed_as
from log.errors import Refused
from log.folders import make_folder, write_private
from log.formats.event_codes import EventType
from log.formats.family import EVENTS
from log.formats.fields import encode_minute
from log.formats.policy import Policy

JURISDICTIONS = {"hk": "HK", "gd": "CN-GD"}

_MINUTE_MS = 60_000
CONTRACT = "Supply contract 2026-117 供货合同 (synthetic)\n".encode()


@dataclass(frozen=True, slots=True)
class Paper:
    """One signature over one document."""

    name: str
    site: str  # side whose platform logs it
    document: bytes
    signer: Signer
    home: str  # side whose CA issued the certificate
    named: bool  # an organisation, whose certificate is logged on its side
    said: dict[str, Any]
    after: str = ""  # the paper whose signature it countersigns


def papers(person: Signer, hk: Signer, gd: Signer) -> tuple[Paper, ...]:
    """Return what is signed, in its order."""
    lease = "Lease of flat 3, 1 Example Road 租約 (synthetic)\n".encode()
    return (
        Paper("tenancy", "hk", lease, person, "hk", False, {"purpose": "property", "channel": "iam-smart"}),
        Paper("supply", "gd", CONTRACT, hk, "hk", True, {"purpose": "contract", "channel": "yue-qi-qian"}),
        Paper("acceptance", "hk", CONTRACT, gd, "gd", True, {"purpose": "contract", "channel": "corpid"}, "supply"),
    )


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the papers lie, and the nodes and members by which they are logged."""

    folder: Path
    sites: dict[str, NodeSite]
    client: httpx.AsyncClient

    def file(self, paper: Paper, suffix: str) -> Path:
        """Return a file of a paper."""
        return self.folder / paper.name / f"{paper.name}{suffix}"

    def write(self, paper: Paper) -> None:
        """Put down what whoever signs has."""
        make_folder(self.folder / paper.name)
        self.file(paper, ".txt").write_bytes(paper.document)
        self.file(paper, ".der").write_bytes(paper.signer.certificate)
        self.file(paper, ".sig").write_bytes(paper.signer.key.sign(paper.document))

    async def send(self, paper: Paper, key: MemberKey) -> str:
        """Make the event of a paper that was written, send it, and keep its receipt.

        Return what the node knew of the certificate. `Refused` when it did not take the event.
        """
        site, home = self.sites[paper.site], self.sites[paper.home]
        said: dict[str, Any] = {
            **paper.said,
            "at": encode_minute(int(time.time() * 1000) // _MINUTE_MS * _MINUTE_MS),
            "ca": listed_as(paper.signer.chain.issuers[-1]),
            "signer_jurisdiction": JURISDICTIONS[paper.home],
            "platform_jurisdiction": JURISDICTIONS[paper.site],
        }
        if paper.after:
            earlier = (self.folder / paper.after / f"{paper.after}.tlog-proof").read_bytes()
            said |= {"type": EventType.COUNTERSIGN.value, "events": [event_ref(earlier).to_json()]}
        certificate, proof = paper.signer.certificate, None
        if paper.named:
            proof = await ProofSource(f"{home.url}/x509", self.client).by_certificate(certificate)
        opened = sign_event(
            paper.document,
            certificate,
            self.file(paper, ".sig").read_bytes(),
            said,
            named=paper.named,
            certificate_ref=None if proof is None else certificate_ref(proof, certificate),
        )
        held = Held.one(PLATFORMS[paper.site], time.time_ns() // 1000, opened, proof)
        write_private(self.file(paper, ".event"), held.encode())
        answer = await send_events(self.client, f"{site.url}/events", held.batch, key)
        (receipt,) = held.receipts(answer)
        if isinstance(receipt, str):
            raise Refused(f"{paper.name}: {receipt}")
        write_private(self.file(paper, ".tlog-proof"), receipt)
        self.file(paper, ".event").unlink()
        policy = Policy.parse(site.policy("events").read_bytes())
        return str(verify_receipt(receipt, policy, provisional=True).certificate_standing)

    async def vouch(self, paper: Paper) -> None:
        """Make a vouched proof of a receipt, once the witnesses have seen the entry."""
        site, file = self.sites[paper.site], self.file(paper, ".tlog-proof")
        policy = Policy.parse(site.policy("events").read_bytes())
        raw, _ = await upgrade(
            file.read_bytes(),
            lambda raw, one_side: verify_receipt(raw, policy, provisional=one_side),
            HttpLog(f"{site.url}/events", EVENTS, self.client),
        )
        write_private(file, raw)

    def verify_arguments(self, paper: Paper) -> Sequence[str]:
        """Return what `twinlog verify` takes for a paper: files, and nothing else."""
        policy = self.sites[paper.site].policy("events")
        files = {"--policy": policy, "--signature": self.file(paper, ".sig"), "--certificate": self.file(paper, ".der")}
        options = [word for option, file in files.items() for word in (option, str(file))]
        return [str(self.file(paper, ".txt")), str(self.file(paper, ".tlog-proof")), *options]
