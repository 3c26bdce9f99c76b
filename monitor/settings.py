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

    [limits]                           # monitor.limits.Limits

Variables: `TWINLOG_MONITOR_POLL_S=2`, `TWINLOG_MONITOR_LIMITS__REQUEST_S=3`.
"""

import os
import tomllib
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from log.errors import Malformed, SettingsError
from log.formats.family import FAMILIES
from log.formats.note import KeyType, VKey, check_name
from log.formats.policy import Policy
from monitor.limits import Limits
from monitor.logs import FollowedLog, WatchedNode, Witness

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
    vkey: str
    url: Url


class LogTable(_Table):
    """One log of a node."""

    name: str
    family: str
    origin: str
    url: Url
    vkeys: Annotated[list[str], Field(min_length=1)]
    policy: Path


class NodeTable(_Table):
    """One node."""

    name: str
    url: Url
    guard: bool = True
    witness: WitnessTable | None = None
    logs: list[LogTable] = []


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
    return settings.model_copy(
        update={"state": folder / settings.state, "keys": folder / settings.keys, "nodes": nodes}
    )


def nodes(settings: Settings, own: VKey) -> tuple[WatchedNode, ...]:
    """Return what is to be watched; `SettingsError` for what does not fit together.

    A log's heads go to the witness of every other node and to every witness of its policy that has a URL, but
    never to the witness of its own node, nor to us.
    """
    _distinct((node.name for node in settings.nodes), "node name")
    _distinct((followed.origin for node in settings.nodes for followed in node.logs), "origin")
    if unknown := set(settings.near) - {node.name for node in settings.nodes}:
        raise SettingsError(f"near: no node is called {', '.join(sorted(unknown))}")
    witnesses = {node.name: _witness(node.witness) for node in settings.nodes if node.witness is not None}
    watched = []
    for node in settings.nodes:
        others = [witness for name, witness in witnesses.items() if name != node.name]
        home = witnesses.get(node.name)
        logs = tuple(_log(node, followed, others, home, own) for followed in node.logs)
        poll_s = settings.poll_s if node.name in settings.near else settings.far_poll_s
        try:
            check_name(node.name)
        except Malformed as e:
            raise SettingsError(f"node {node.name!r}: {e}") from e
        watched.append(WatchedNode(node.name, node.url.rstrip("/"), home, logs, node.guard, poll_s))
    return tuple(watched)


def _log(node: NodeTable, followed: LogTable, others: list[Witness], home: Witness | None, own: VKey) -> FollowedLog:
    where = f"node {node.name}, log {followed.name}"
    family = FAMILIES.get(followed.family)
    if family is None:
        raise SettingsError(f"{where}: no family is called {followed.family}")
    try:
        vkeys = tuple(VKey.parse(text) for text in followed.vkeys)
        policy = Policy.parse(followed.policy.read_bytes())
    except Malformed as e:
        raise SettingsError(f"{where}: {e}") from e
    except OSError as e:
        raise SettingsError(f"{where}: cannot read {followed.policy.name}: {e.strerror}") from e
    if any(vkey.name != followed.origin for vkey in vkeys):
        raise SettingsError(f"{where}: a key of another name than the origin")
    if KeyType.ED25519 not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x01 key")
    if family.receipt == "sct" and KeyType.TREE_HEAD not in {vkey.type for vkey in vkeys}:
        raise SettingsError(f"{where}: no 0x05 key")
    found = {witness.vkey: witness for witness in others}
    for outside in policy.witnesses:
        if outside.url is not None and outside.vkey not in found:
            found[outside.vkey] = Witness(outside.name, outside.vkey, outside.url.rstrip("/"))
    kept = [w for vkey, w in found.items() if vkey != own and (home is None or vkey != home.vkey)]
    return FollowedLog(
        node.name, followed.name, family, followed.origin, followed.url.rstrip("/"), vkeys, policy, tuple(kept)
    )


def _witness(table: WitnessTable) -> Witness:
    try:
        vkey = VKey.parse(table.vkey)
    except Malformed as e:
        raise SettingsError(f"witness {table.name}: {e}") from e
    if vkey.type is not KeyType.COSIGNATURE:
        raise SettingsError(f"witness {table.name}: not a key of type 0x04")
    return Witness(table.name, vkey, table.url.rstrip("/"))


def _distinct(values: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise SettingsError(f"{what} {value} stands there twice")
        seen.add(value)
