"""The monitor's settings: one TOML file, overridden by `TWINLOG_MONITOR_…` variables. An unknown key is an error.

    name = "monitor.example/hk"        # the name of our keys: of cosignatures and of guard pushes
    state = "monitor.sqlite"           # paths are relative to the file
    keys = "keys"                      # folder with witness.pem and guard.pem, made by `keygen`
    near = ["hk"]                      # nodes polled every poll_s; the others every far_poll_s
    poll_s = 1
    far_poll_s = 10

    [[nodes]]
    name = "hk"
    url = "https://hk.example"
    guard = true                       # whether we are a guard of this node
    [nodes.witness]
    name = "hk"
    vkey = "hk.example/witness+…"
    url = "https://hk.example/witness"
    [[nodes.logs]]
    name = "x509"
    family = "x509"
    origin = "hk.example/x509"
    url = "https://hk.example/x509"
    vkeys = ["hk.example/x509+…"]      # every key of the log's identity
    policy = "hk-x509.policy"          # C2SP tlog-policy; its witnesses with a URL are fed too

    [[logs]]                           # a log of others that we follow, cosign and bring to our nodes' witnesses
    name = "elsewhere"
    origin = "log.elsewhere.example"
    url = "https://log.elsewhere.example"
    vkeys = ["log.elsewhere.example+…"]
    witnesses = ["hk"]                 # nodes whose witness knows it; all by default

    [[tokens]]                         # for nodes that show their entries to members: sent to this URL and below it
    url = "https://hk.example"
    file = "hk.token"                  # one line, mode 0600

    [governance]                       # actions are carried across, and what they add is followed
    genesis = "genesis.json"
    sha256 = "9b6d…"                   # of that file, hex: the pin on which all governance rests

    [limits]                           # monitor.limits.Limits

Variables: `TWINLOG_MONITOR_POLL_S=2`, `TWINLOG_MONITOR_LIMITS__REQUEST_S=3`.
"""

import os
import tomllib
from collections.abc import Iterable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from log.client.witness import check_witnessable
from log.errors import Malformed, SettingsError
from log.formats.family import FAMILIES, TILES, Family
from log.formats.genesis import Genesis
from log.formats.note import KeyType, VKey, check_name
from log.formats.policy import Policy
from log.governance.fold import check_genesis
from monitor.limits import Limits
from monitor.logs import FollowedLog, WatchedNode, Witness, fed_to

PREFIX = "TWINLOG_MONITOR_"
_NESTED = "__"

Seconds = Annotated[float, Field(gt=0, le=3600)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]

_LimitsTable = create_model(  # type: ignore[call-overload]
    "_LimitsTable",
    __config__=ConfigDict(extra="forbid"),
    **{field.name: (Annotated[field.type, Field(gt=0)], field.default) for field in fields(Limits)},
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WitnessTable(_Table):
    """The witness that a node is."""

    name: str
    vkey: str  # 0x04
    mldsa: str | None = None  # vkey of type 0x06, where the witness has one
    url: Url


class LogTable(_Table):
    """One log of a node."""

    name: str
    family: str
    origin: str
    url: Url
    vkeys: Annotated[list[str], Field(min_length=1)]
    policy: Path


class ForeignTable(_Table):
    """A log of others."""

    name: str
    family: str = TILES.name
    origin: str
    url: Url
    vkeys: Annotated[list[str], Field(min_length=1)]
    policy: Path | None = None  # without one nobody need vouch for it
    witnesses: list[str] | None = None  # nodes to whose witness its heads are brought; None: all


class NodeTable(_Table):
    """One node."""

    name: str
    url: Url
    guard: bool = True
    witness: WitnessTable | None = None
    logs: list[LogTable] = []


class TokenTable(_Table):
    """A bearer token for a node, or for one of its logs."""

    url: Url
    file: Path


class GovernanceTable(_Table):
    """The genesis on which governance rests."""

    genesis: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """The whole file. `load` reads it; nothing else makes one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=_NESTED, extra="forbid")

    name: str
    state: Path
    keys: Path
    near: list[str] = []
    poll_s: Seconds = 1
    far_poll_s: Seconds = 10
    nodes: list[NodeTable] = []
    logs: list[ForeignTable] = []
    publish: Path | None = None
    tokens: list[TokenTable] = []
    governance: GovernanceTable | None = None
    limits: _LimitsTable = _LimitsTable()  # type: ignore[valid-type]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables before the file, and nothing besides."""
        return env_settings, init_settings

    def bounds(self) -> Limits:
        """Return the limits."""
        return Limits(**self.limits.model_dump())  # type: ignore[attr-defined]


def load(path: Path) -> Settings:
    """Read the file and the variables, or raise `SettingsError`, which names the key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise SettingsError(f"cannot read the settings {path.name}: {e}") from e
    _check_variables()
    try:
        settings = Settings(**table)
    except ValidationError as e:
        problems = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in e.errors(include_input=False)]
        raise SettingsError(f"settings {path.name}: {'; '.join(problems)}") from e
    except UnreadableVariable as e:  # a table or list that is not JSON
        raise SettingsError(f"environment: {e}") from e
    return _absolute(settings, path.resolve().parent)


def _check_variables() -> None:
    known = {name.upper() for name in Settings.model_fields}
    bounds = {field.name.upper() for field in fields(Limits)}
    for variable in os.environ:
        if variable.upper().startswith(PREFIX):
            name, nested, below = variable.upper().removeprefix(PREFIX).partition(_NESTED)
            if name not in known or (nested and (name != "LIMITS" or below not in bounds)):
                raise SettingsError(f"unknown variable {variable}")


def _absolute(settings: Settings, folder: Path) -> Settings:
    nodes = [
        node.model_copy(
            update={
                "logs": [followed.model_copy(update={"policy": folder / followed.policy}) for followed in node.logs]
            }
        )
        for node in settings.nodes
    ]
    logs = [each.model_copy(update={"policy": each.policy and folder / each.policy}) for each in settings.logs]
    governance = settings.governance and settings.governance.model_copy(
        update={"genesis": folder / settings.governance.genesis}
    )
    return settings.model_copy(
        update={
            "governance": governance,
            "state": folder / settings.state,
            "keys": folder / settings.keys,
            "nodes": nodes,
            "logs": logs,
            "tokens": [table.model_copy(update={"file": folder / table.file}) for table in settings.tokens],
            "publish": settings.publish and folder / settings.publish,
        }
    )


def nodes(settings: Settings, own: VKey) -> tuple[WatchedNode, ...]:
    """Return what is to be watched; `SettingsError` for what does not fit together.

    A log's heads go to the witness of every other node and to every witness of its policy that has a URL, but
    never to the witness of its own node, nor to us. Logs of others come last, in a node without name.
    """
    _distinct((node.name for node in settings.nodes), "node name")
    origins = [followed.origin for node in settings.nodes for followed in node.logs]
    _distinct([*origins, *(followed.origin for followed in settings.logs)], "origin")
    names = {node.name for node in settings.nodes}
    if settings.governance is None and (unknown := set(settings.near) - names):
        raise SettingsError(f"near: no node is called {', '.join(sorted(unknown))}")
    witnesses = {node.name: _witness(node.witness) for node in settings.nodes if node.witness is not None}
    watched = []
    for node in settings.nodes:
        others = [witness for name, witness in witnesses.items() if name != node.name]
        home = witnesses.get(node.name)
        logs = tuple(_log(node, followed, others, home, own) for followed in node.logs)
        try:
            check_name(node.name)
        except Malformed as e:
            raise SettingsError(f"node {node.name!r}: {e}") from e
        watched.append(
            WatchedNode(node.name, node.url.rstrip("/"), home, logs, node.guard, poll_s(settings, node.name))
        )
    if settings.logs:
        foreign = tuple(_foreign(followed, witnesses, own) for followed in settings.logs)
        watched.append(WatchedNode("", "", None, foreign, guarded=False, poll_s=settings.far_poll_s))
    return tuple(watched)


def poll_s(settings: Settings, node: str) -> float:
    """Return how often a node is polled, in seconds, by its name."""
    return settings.poll_s if node in settings.near else settings.far_poll_s


def genesis(settings: Settings) -> Genesis | None:
    """Return the pinned genesis, None when the settings name none; `SettingsError` for another file than the pinned."""
    table = settings.governance
    if table is None:
        return None
    name = table.genesis.name
    try:
        data = table.genesis.read_bytes()
        if sha256(data).hexdigest() != table.sha256:
            raise SettingsError(f"governance: {name} has the SHA-256 {sha256(data).hexdigest()}, not the pinned one")
        found = Genesis.parse(data)
        check_genesis(found)
    except Malformed as e:
        raise SettingsError(f"governance: {name}: {e}") from e
    except OSError as e:
        raise SettingsError(f"governance: cannot read {name}: {e.strerror}") from e
    return found


def _log(node: NodeTable, followed: LogTable, others: list[Witness], home: Witness | None, own: VKey) -> FollowedLog:
    where = f"node {node.name}, log {followed.name}"
    family, vkeys, policy = _pinned(where, followed.family, followed.origin, followed.vkeys, followed.policy)
    if KeyType.ED25519 not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x01 key")
    if family is TILES:
        raise SettingsError(f"{where}: no node has a log of the family {family.name}")
    never = {own.name} if home is None else {own.name, home.vkey.name}
    fed = fed_to(others, policy, never)
    return FollowedLog(node.name, followed.name, family, followed.origin, followed.url.rstrip("/"), vkeys, policy, fed)


def _foreign(followed: ForeignTable, witnesses: dict[str, Witness], own: VKey) -> FollowedLog:
    where = f"log {followed.name}"
    family, vkeys, policy = _pinned(where, followed.family, followed.origin, followed.vkeys, followed.policy)
    named = list(witnesses) if followed.witnesses is None else followed.witnesses
    if unknown := set(named) - set(witnesses):
        raise SettingsError(f"{where}: no node with a witness is called {', '.join(sorted(unknown))}")
    fed = fed_to([witnesses[name] for name in named], policy, {own.name})
    return FollowedLog("", followed.name, family, followed.origin, followed.url.rstrip("/"), vkeys, policy, fed)


def _pinned(
    where: str, family_name: str, origin: str, keys: Iterable[str], policy_file: Path | None
) -> tuple[Family, tuple[VKey, ...], Policy]:
    """Return the family, the keys and the policy of a log that can be witnessed."""
    family = FAMILIES.get(family_name)
    if family is None:
        raise SettingsError(f"{where}: no family is called {family_name}")
    try:
        vkeys = tuple(VKey.parse(text) for text in keys)
        check_witnessable(origin, vkeys)
        policy = Policy.parse(b"quorum none\n" if policy_file is None else policy_file.read_bytes())
    except Malformed as e:
        raise SettingsError(f"{where}: {e}") from e
    except OSError as e:
        raise SettingsError(f"{where}: cannot read {Path(e.filename).name}: {e.strerror}") from e
    if family.receipt == "sct" and KeyType.TREE_HEAD not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x05 key")
    return family, vkeys, policy


def _witness(table: WitnessTable) -> Witness:
    where = f"witness {table.name}"
    vkeys = [_cosigner(where, table.vkey, KeyType.COSIGNATURE)]
    if table.mldsa is not None:
        vkeys.append(_cosigner(where, table.mldsa, KeyType.MLDSA))
    if len({vkey.name for vkey in vkeys}) > 1:
        raise SettingsError(f"{where}: its keys have two names")
    return Witness(table.name, tuple(vkeys), table.url.rstrip("/"))


def _cosigner(where: str, text: str, key_type: KeyType) -> VKey:
    try:
        vkey = VKey.parse(text)
    except Malformed as e:
        raise SettingsError(f"{where}: {e}") from e
    if vkey.type is not key_type:
        raise SettingsError(f"{where}: not a key of type {key_type:#04x}")
    return vkey


def _distinct(values: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise SettingsError(f"{what} {value} stands there twice")
        seen.add(value)
