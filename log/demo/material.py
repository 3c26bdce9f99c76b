"""What the demonstration logs: synthetic certificates of both sides, and real ones where they are at hand."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import certifi

from log.client import pem
from log.demo.ca import Tree
from log.demo.deployment import Anchors, Recognised
from log.demo.issuing import HK_SUITES, RSA_SUITES, Suite, distinguished
from log.demo.papers import Paper, papers

CERTIFICATES, PRECERTS = 35, 15  # of each suite
RSA_CERTIFICATES, RSA_PRECERTS = 7, 3  # of suites whose keys take a hundred times as long to make

TYPES: dict[Suite, str] = {  # by branch: the type under which both lists have what it issues
    "rsa2048": "Hongkong Post e-Cert (Organisational)",
    "p256": "Digi-Sign ID-Cert",
    "ed25519": "Hongkong Post e-Cert (Organisational)",
    "p384": "GDCA organisation certificate",
    "rsapss": "SZCA organisation certificate",
    "sm2": "NETCA organisation certificate",
}

# Real files of the shared data folder: alone, as roots, or as chains with their issuers.
HK_ROOTS = ("hkpost-root-ca-2000", "hkpost-root-ca-1", "hkpost-root-ca-2", "hkpost-root-ca-3")
GD_ROOTS = (
    "gdca-root-ca-2004",
    "gdca-root-ca1-2017",
    "gdca-trustauth-r2-root",
    "gdca-trustauth-r5-root",
    "gdca-trustauth-e5-root-ecc",
    "szca-root-2003-md5",
    "szca-root-2013",
    "nrcac-rootca-sm2",
)
WEAK_ROOT = "netca-root-classa"
NETCA_CHAIN = ("netca-tsa-2020", "netca-server-classa-ca", WEAK_ROOT)
SHECA_CHAIN = ("sheca-sm2-by-nrcac", "nrcac-rootca-sm2")


@dataclass(frozen=True, slots=True)
class Material:
    """Chains (DER, leaf first) for each side, and the trust list that admits them."""

    chains: dict[str, list[Sequence[bytes]]]
    anchors: dict[str, Anchors]
    papers: tuple[Paper, ...]  # what is signed by whom
    left_out: str  # what could not be had, "" when nothing

    @property
    def shown(self) -> bytes:
        """The certificate whose proof the demonstration writes: the first synthetic one of Hong Kong."""
        return self.chains["hk"][0][0]


def gather(seed: int) -> Material:
    """Make the synthetic tree and read the real certificates."""
    tree = Tree.make(int(time.time()) * 1000, Random(seed))  # noqa: S311 - names and serials, no keys
    chains: dict[str, list[Sequence[bytes]]] = {"hk": [], "gd": []}
    for suite in tree.suites:
        side = "hk" if suite in HK_SUITES else "gd"
        finals, precerts = (RSA_CERTIFICATES, RSA_PRECERTS) if suite in RSA_SUITES else (CERTIFICATES, PRECERTS)
        chains[side] += [tree.issue(suite, n).submitted for n in range(finals)]
        chains[side] += [tree.precert(suite, n).submitted for n in range(finals, finals + precerts)]
    first = CERTIFICATES + PRECERTS
    person = tree.signer("p256", first, distinguished(("C", "HK"), ("CN", "CHAN Tai Man (synthetic)")))
    organisation = {
        "hk": tree.signer("p256", first + 1),
        "gd": tree.signer("sm2" if "sm2" in tree.suites else "p384", first + 1),
    }
    for side, signer in organisation.items():
        chains[side].append(signer.chain.submitted)
    roots = dict(zip(tree.suites, tree.roots, strict=True))
    listed = {
        "hk": [der for suite, der in roots.items() if suite in HK_SUITES],
        "gd": [der for suite, der in roots.items() if suite not in HK_SUITES],
    }
    mozilla = pem.read(Path(certifi.where()))
    chains["hk"] += [[der] for der in mozilla[::2]]
    chains["gd"] += [[der] for der in mozilla[1::2]]
    weak: list[bytes] = []
    folder = shared_certificates()
    if folder is not None:
        real = {
            file.stem: pem.read(file)[0] for file in folder.glob("*.der") if not file.stem.endswith((".p7s", ".tst"))
        }
        chains["hk"] += [[real[name]] for name in HK_ROOTS]
        chains["gd"] += [[real[name]] for name in (*GD_ROOTS, WEAK_ROOT)]
        chains["gd"] += [[real[name] for name in NETCA_CHAIN], [real[name] for name in SHECA_CHAIN]]
        listed["hk"] += [real[name] for name in HK_ROOTS]
        listed["gd"] += [real[name] for name in GD_ROOTS]
        weak.append(real[WEAK_ROOT])
    observed = tuple(mozilla)
    recognised = tuple(
        Recognised(ca.certificate, ca.issuers[-1], TYPES[suite], "HK" if suite in HK_SUITES else "CN-GD")
        for suite, ca in tree.branches.items()
    )
    anchors = {
        "hk": Anchors(tuple(listed["hk"]), observed=observed, recognised=recognised),
        "gd": Anchors(tuple(listed["gd"]), tuple(weak), observed, recognised),
    }
    left_out = "" if folder is not None else "real certificates of Hong Kong and Guangdong CAs (no shared data folder)"
    return Material(chains, anchors, papers(person, organisation["hk"], organisation["gd"]), left_out)


def shared_certificates() -> Path | None:
    """Return the folder of real certificates: `TWINLOG_DATA`, or beside the checkout; None when it is not there."""
    checkout = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("TWINLOG_DATA", checkout.parent / "shared" / "data")) / "certs"
    if not folder.is_dir():
        folder = Path("..") / "shared" / "data" / "certs"
    return folder if folder.is_dir() else None
