"""A third node, Shandong, beside a pair that goes by a genesis: made by hand, brought in by actions."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from log import state
from log.demo.deployment import FAMILIES, SIDES, NodeSite, free_port
from log.formats.policy import Policy
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from monitor import main as monitor_main
from monitor import settings as monitor_settings
from tests.support.nodes import World

Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Third:
    """The node's place and keys, and the actions of both sides by which it joins."""

    site: NodeSite
    rows: tuple[Row, ...]


async def third_node(w: World, side: str = "sd") -> Third:
    """Make keys, settings and the empty state of a node whose settings name no other node and no guard."""
    folder = w.deployment.folder / side
    folder.mkdir()
    site = NodeSite(side, folder, free_port())
    genesis = w.deployment.council.genesis_file
    lines = [f'node = "{site.name}"', f'listen = "127.0.0.1:{site.port}"', f'public_url = "{site.url}"', "guards = []"]
    for family in FAMILIES:
        lines += ["[[logs]]", f'name = "{family}"', f'family = "{family}"', f'origin = "{site.origin(family)}"']
        lines.append(f'policy = "{family}.policy"')
        site.policy(family).write_text("quorum none\n", encoding="utf-8")
    lines += ["[governance]", f"genesis = {json.dumps(str(genesis))}"]
    lines.append(f'sha256 = "{sha256(genesis.read_bytes()).hexdigest()}"')
    site.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings, clock = NodeSettings.load(site.settings), SystemClock()
    state.keygen(settings, clock)
    public = state.public_keys(settings, clock)
    await state.init(settings, clock)
    w.deployment.sites[side] = site
    return Third(site, tuple(_rows(w, site, {name: list(vkeys) for name, vkeys in public.items()})))


def _rows(w: World, site: NodeSite, public: dict[str, list[str]]) -> list[Row]:
    keys = monitor_main.load_keys(monitor_settings.load(w.deployment.monitor_settings))
    witness = public[f"{site.host}/witness"][0]
    node = {"name": site.name, "side": "", "url": site.url, "authority": site.host, "witness": witness}
    guard = {"node": site.name, "name": "monitor"}
    rows: list[Row] = [
        ("node-add", node),
        ("guard-add", {**guard, "cosigner": keys.witness.vkey.encode(), "push": keys.guard.vkey.encode()}),
    ]
    for family in FAMILIES:
        origin = site.origin(family)
        place = {"origin": origin, "node": site.name, "name": family, "family": family, "window": None}
        rows.append(("log-add", {**place, "vkeys": public[origin]}))
        pair = [w.site(name) for name in SIDES]
        lines = [f"witness {each.name} {_witness(w, each)}\n" for each in pair]
        lines.append(f"witness monitor {keys.witness.vkey.encode()}\n")
        lines.append(f"group all all monitor {' '.join(each.name for each in pair)}\nquorum all\n")
        rows.append(("policy", {"origin": origin, "policy": Policy.parse("".join(lines)).encode()}))
    return rows


def _witness(w: World, site: NodeSite) -> str:
    settings = NodeSettings.load(site.settings)
    return state.public_keys(settings, SystemClock())[f"{site.host}/witness"][0]


def near_all(path: Path, *names: str) -> None:
    """Let the monitor poll these nodes too as often as it can, once it knows them."""
    settings = path.read_text(encoding="utf-8")
    head, near, rest = settings.partition("near = [")
    path.write_text(f"{head}{near}{''.join(json.dumps(name) + ', ' for name in names)}{rest}", encoding="utf-8")
