"""Two nodes and a monitor on one machine: folders, keys, settings, trust lists, state. The tests use it too.

Everything is new each time. Each node has its folders, keys and trust lists of its own; the monitor is a guard of
both and the outside witness of every policy.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from log import keyring, state
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import CertType, Issuer, begins_ms
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.member_keys import MemberKey
from log.crypto.notes import NoteSigner, sign_note
from log.demo.authorities import Council, Row
from log.demo.ca import MUTUAL_RECOGNITION
from log.demo.ports import own_port
from log.errors import StateRefused
from log.formats.action import JOINT
from log.formats.family import EVENTS
from log.formats.note import KeyType
from log.formats.policy import Policy
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings, authority_of

SIDES = ("hk", "gd")
FAMILIES = ("x509", "governance")
PLATFORMS = {"hk": "hk/iam-smart", "gd": "gd/yue-qi-qian"}  # who logs events, where there is a log for them
MONITOR = "monitor.twinlog.example/demo"


def _monitor(command: str, settings: Path) -> str:
    """Run a command of the monitor; return what it prints. `StateRefused` when it fails."""
    done = subprocess.run(  # noqa: S603 - our own package, our own paths
        [sys.executable, "-m", "monitor", command, "--settings", str(settings)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StateRefused(f"twinlog-monitor {command}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Recognised:
    """A CA whose certificates for organisations are mutually recognised: both lists have it."""

    issuer: bytes  # the issuing CA, DER
    root: bytes  # above it, DER
    type_name: str
    jurisdiction: str  # `HK`, `CN-GD`


@dataclass(frozen=True, slots=True)
class Anchors:
    """What one side's trust list names; DER."""

    listed: tuple[bytes, ...]
    weak_hash: tuple[bytes, ...] = ()  # listed, and SHA-1 under them is admitted
    observed: tuple[bytes, ...] = ()
    recognised: tuple[Recognised, ...] = ()  # of either side


@dataclass(frozen=True, slots=True)
class NodeSite:
    """One node's place on this machine."""

    side: str
    folder: Path
    port: int

    @property
    def name(self) -> str:
        return self.side.upper()

    @property
    def host(self) -> str:
        return f"{self.side}.twinlog.example"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "twinlog.toml"

    def origin(self, family: str) -> str:
        return f"{self.host}/{family}"

    def policy(self, family: str) -> Path:
        return self.folder / f"{family}.policy"


@dataclass(slots=True)
class Deployment:
    """A pair of nodes and their monitor. `create` makes everything; processes are started elsewhere."""

    folder: Path
    node_lines: Mapping[str, object] = field(default_factory=dict)  # more keys for each node's settings
    limits: Mapping[str, int] = field(default_factory=dict)
    governed: bool = False  # by a genesis and actions, instead of a signed trust list of each side
    families: Sequence[str] = (
        FAMILIES  # of each node's logs; with "events", which takes a genesis, platforms are members
    )
    page: bool = False  # whether the monitor shows its page on this machine, alerts and findings to everybody
    run_monitor: Callable[[str, Path], str] = _monitor  # runs a command of the monitor with these settings
    sites: dict[str, NodeSite] = field(init=False)
    page_url: str = field(init=False)  # "" without a page

    def __post_init__(self) -> None:
        self.sites = {side: NodeSite(side, self.folder / side, own_port()) for side in SIDES}
        self.page_url = f"http://127.0.0.1:{own_port()}" if self.page else ""

    @property
    def council(self) -> Council:
        """The authorities of both sides."""
        return Council(self.folder / "authorities")

    def platform(self, side: str) -> MemberKey:
        """Return the key of a side's platform, made when it is first asked for."""
        file = self.folder / "platforms" / f"{side}.pem"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            keys.generate_key(file, Kind.ED25519)
        return MemberKey.load(PLATFORMS[side], file)

    @property
    def monitor_settings(self) -> Path:
        return self.folder / "monitor" / "monitor.toml"

    async def create(self, anchors: Mapping[str, Anchors]) -> None:
        """Make keys, settings, policies, trust lists and the empty state of both nodes and the monitor."""
        for site in self.sites.values():
            site.folder.mkdir(parents=True)
            self._write_settings(site, {}, None)  # enough for keygen: nobody else's keys are known yet
            keyring.keygen(NodeSettings.load(site.settings), SystemClock())
        public = {
            side: keyring.public_keys(NodeSettings.load(site.settings), SystemClock())
            for side, site in self.sites.items()
        }
        printed = self._init_monitor()
        cosigner, push = printed["cosigner"], printed["push"]
        signers: dict[str, str] = {}
        if not self.governed:
            signers = {side: await self._trust_list(side, anchors[side]) for side in SIDES}
        for side, site in self.sites.items():
            other = self.sites[_other(side)]
            for family in self.families:
                policy = [f"log {vkey}" for vkey in public[side][site.origin(family)]]
                policy += [
                    f"witness {other.name} {_witness(public, other)}",
                    f"witness monitor {cosigner}",
                    *_second(f"witness {other.name}-mldsa", _witnesses(public, other)[1:]),
                    *_second("witness monitor-mldsa", [printed[name] for name in ("mldsa",) if name in printed]),
                    f"group outside any monitor\ngroup both all {other.name} outside\nquorum both",
                ]
                site.policy(family).write_text("\n".join(policy) + "\n", encoding="utf-8")
        if self.governed:
            self.council.begin(SIDES, self._beginning(public, printed, anchors))
        for site in self.sites.values():
            self._write_settings(site, public, (cosigner, push), signers)
            await state.init(NodeSettings.load(site.settings), SystemClock())
        self._write_monitor(public)

    def _write_settings(
        self,
        site: NodeSite,
        public: Mapping[str, Mapping[str, Sequence[str]]],
        guard: tuple[str, str] | None,
        signers: Mapping[str, str] | None = None,
    ) -> None:
        other = self.sites[_other(site.side)]
        top = {
            "node": site.name,
            "side": site.side,
            "listen": f"127.0.0.1:{site.port}",
            "public_url": site.url,
            **self.node_lines,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        if guard is None:
            lines.append("guards = []")
        for family in self.families:
            lines += ["[[logs]]", f'name = "{family}"', f'family = "{family}"']
            lines += [f'origin = "{site.origin(family)}"', f'policy = "{family}.policy"', 'bodies = "public"']
        if guard is not None:
            lines += ["[[guards]]", 'name = "monitor"', f'cosigner = "{guard[0]}"', f'push = "{guard[1]}"']
        for family in self.families if public else ():
            vkeys = json.dumps(list(public[other.side][other.origin(family)]))
            lines += ["[[witnessed]]", f'origin = "{other.origin(family)}"', f"vkeys = {vkeys}"]
        if public and self.governed:
            lines += self._governance()
        for side, signer in (signers or {}).items():
            folder = json.dumps(str(self._list_folder(side)))
            lines += ["[[trustlists]]", f'side = "{side}"', f"path = {folder}", f'signers = ["{signer}"]']
        lines += ["[limits]", *(f"{key} = {value}" for key, value in self.limits.items())]
        site.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _beginning(
        self,
        public: Mapping[str, Mapping[str, Sequence[str]]],
        monitor: Mapping[str, str],
        anchors: Mapping[str, Anchors],
    ) -> dict[str, list[Row]]:
        """Return by chain what genesis begins with: nodes, logs, guards, policies, both sides' trust lists."""
        now_ms = int(time.time()) * 1000
        rows: dict[str, list[Row]] = {
            side: [("trust-list", {"list": _trust_list(anchors[side], now_ms).value()})] for side in SIDES
        }
        for side in SIDES if EVENTS.name in self.families else ():
            name = PLATFORMS[side].rpartition("/")[2]
            member = {"id": name, "name": f"{name} (synthetic)", "role": "platform"}
            rows[side].append(("member-admit", {**member, "keys": [self.platform(side).vkey.encode()]}))
        rows[JOINT] = joint = []
        for side, site in self.sites.items():
            node = {"name": site.name, "side": side, "url": site.url, "authority": authority_of(site.url)}
            joint.append(("node-add", {**node, "witness": _witness(public, site)}))
            guard = {"node": site.name, "name": "monitor"}
            joint.append(("guard-add", {**guard, "cosigner": monitor["cosigner"], "push": monitor["push"]}))
            for family in self.families:
                origin = site.origin(family)
                added: dict[str, Any] = {"origin": origin, "node": site.name, "name": family, "family": family}
                added |= {"vkeys": list(public[side][origin]), "window": None}
                joint.append(("log-add", added))
                policy = Policy.parse(site.policy(family).read_bytes()).encode()
                joint.append(("policy", {"origin": origin, "policy": policy}))
        return rows

    def _governance(self) -> list[str]:
        """Return the lines of the settings that pin the genesis."""
        genesis = self.council.genesis_file
        pin = sha256(genesis.read_bytes()).hexdigest()
        return ["[governance]", f"genesis = {json.dumps(str(genesis))}", f'sha256 = "{pin}"']

    def _list_folder(self, side: str) -> Path:
        return (self.folder / f"trustlist-{side}").resolve()

    async def _trust_list(self, side: str, anchors: Anchors) -> str:
        """Write and sign one side's trust list; return the signer's vkey."""
        folder = self._list_folder(side)
        folder.mkdir()
        keys.generate_key(folder / "signer.pem", Kind.ED25519)
        signer = NoteSigner.make(f"{side}.authority.example", KeyType.ED25519, keys.load_ed25519(folder / "signer.pem"))
        listed = _trust_list(anchors, int(time.time()) * 1000)
        (folder / "trustlist.json").write_bytes(listed.encode())
        (folder / "trustlist.note").write_bytes((await sign_note(listed.note_text(), 0, [signer])).encode())
        return signer.vkey.encode()

    def _init_monitor(self) -> dict[str, str]:
        """Make the monitor's state and keys; return each by its use: `cosigner`, `push`, `mldsa` where there is one."""
        self.monitor_settings.parent.mkdir()
        self._write_monitor({})
        printed = self.run_monitor("init", self.monitor_settings).splitlines()
        return dict(line.split(" ", 1) for line in printed)

    def _write_monitor(self, public: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        near = json.dumps([site.name for site in self.sites.values()] if public else [])
        lines = [f'name = "{MONITOR}"', 'state = "state.sqlite"', 'keys = "keys"', f"near = {near}"]
        for side, site in self.sites.items() if public else ():
            lines += ["[[nodes]]", f'name = "{site.name}"', f'url = "{site.url}"', "[nodes.witness]"]
            lines += [f'name = "{site.name}"', f'vkey = "{_witness(public, site)}"', f'url = "{site.url}/witness"']
            lines += [f'mldsa = "{vkey}"' for vkey in _witnesses(public, site)[1:]]
            for family in self.families:
                vkeys = json.dumps(list(public[side][site.origin(family)]))
                lines += ["[[nodes.logs]]", f'name = "{family}"', f'family = "{family}"', f"vkeys = {vkeys}"]
                lines += [f'origin = "{site.origin(family)}"', f'url = "{site.url}/{family}"']
                lines.append(f"policy = {json.dumps(str(site.policy(family).resolve()))}")
        if public and self.governed:
            lines += self._governance()
        if self.page:
            lines += ["[serve]", f'listen = "{self.page_url.removeprefix("http://")}"', "[page]", "open = true"]
        self.monitor_settings.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]


def _witnesses(public: Mapping[str, Mapping[str, Sequence[str]]], site: NodeSite) -> Sequence[str]:
    """Return the keys of a node's witness: 0x04, and 0x06 where this machine has it."""
    return public[site.side][f"{site.host}/witness"]


def _witness(public: Mapping[str, Mapping[str, Sequence[str]]], site: NodeSite) -> str:
    return _witnesses(public, site)[0]


def _second(words: str, vkeys: Iterable[str]) -> list[str]:
    """Return the policy lines of second keys: their cosignatures are kept and proven, and no quorum waits for them."""
    return [f"{words} {vkey}" for vkey in vkeys]


def _trust_list(anchors: Anchors, now_ms: int) -> TrustList:
    marked = [(der, False, False) for der in anchors.listed]
    marked += [(der, False, True) for der in anchors.weak_hash]
    marked += [(der, True, False) for der in anchors.observed]
    issuers: dict[bytes, Issuer] = {}
    types = []
    for each in anchors.recognised:
        began_ms = begins_ms(each.issuer)
        root, issuer = listed_as(each.root), listed_as(each.issuer)
        issuers[each.root] = Issuer(root, each.root, root, began_ms, None, None, "", False, "", "", False)
        issuers[each.issuer] = Issuer(issuer, each.issuer, root, began_ms, None, None, "", False, "", "", False)
        policies = (MUTUAL_RECOGNITION,)
        types.append(CertType("organisation", issuer, each.type_name, policies, each.jurisdiction, began_ms, None))
    rest = (row for row in _issuers(marked, now_ms) if row.certificate not in issuers)
    return TrustList(1, now_ms, (*issuers.values(), *rest), tuple(types))


def listed_as(certificate: bytes) -> str:
    """Return the id under which a trust list has an issuer's certificate (DER)."""
    return f"ca-{sha256(certificate).hexdigest()[:16]}"


def _issuers(marked: Iterable[tuple[bytes, bool, bool]], now_ms: int) -> Iterable[Issuer]:
    """Yield a row for each certificate, once: (DER, observed, weak hash)."""
    seen: set[bytes] = set()
    for der, observed, weak_hash in marked:
        digest = sha256(der).digest()
        if digest not in seen:
            seen.add(digest)
            name = listed_as(der)
            yield Issuer(name, der, name, now_ms, None, None, "", observed, "", "", weak_hash)
