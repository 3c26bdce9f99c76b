"""The monitor's settings: one TOML file, overridden by `TWINLOG_MONITOR_…` variables. An unknown key is an error.

    name = "monitor.example/hk"        # the name of our keys: of cosignatures and of guard pushes
    state = "monitor.sqlite"           # paths are relative to the file
    keys = "keys"                      # folder with witness.pem and guard.pem, made by `keygen`
    near = ["hk"]                      # nodes polled every poll_s; the others every far_poll_s
    poll_s = 1
    far_poll_s = 10
    authorities = "ca.pem"             # CAs of nodes and peers, beside the public ones

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

    unread = ["hk.example/access"]     # origins of logs whose entries are not for us (before all tables)

    [[tokens]]                         # for nodes that show their entries to members: sent to this URL and below it
    url = "https://hk.example"
    file = "hk.token"                  # one line, mode 0600

    [[channels]]                       # who is told of alerts, and which
    name = "pager"
    kind = "webhook"                   # or smtp, command, stdout
    url = "https://pager.example/twinlog"
    secret = "pager.secret"            # one line, mode 0600: the key of the HMAC over each body
    least = "error"
    classes = ["proven", "suspected", "degraded"]

    [[sources]]                        # who else has the data of logs; all is held against the signed roots
    url = "https://monitor.gd.example" # another monitor's copies, each below its origin hash
    [[sources]]
    url = "https://mirror.example/hk"  # a mirror of one log
    origin = "hk.example/x509"

    [copies]                           # all that was verified of each log, kept
    folder = "monitor.copy"
    public = ["log.elsewhere.example"] # origins whose entries anybody may read here
    tokens = ["5feb…"]                 # SHA-256 (hex) of bearer tokens by which all other entries may be read

    [governance]                       # actions are carried across, and what they add is followed
    genesis = "genesis.json"
    sha256 = "9b6d…"                   # of that file, hex: the pin on which all governance rests

    [[trustlists]]                     # where no genesis is pinned
    side = "hk"
    path = "trustlist-hk"              # folder with trustlist.json and trustlist.note
    signers = ["…"]
    threshold = 1

    [rules]
    limits = "limits.toml"             # in place of the package's

    [[watch]]                          # read again without a restart
    name = "our names"
    suffixes = ["example.hk"]
    organisations = ["Sample Trading Limited"]
    keys = ["9b6d…"]                   # SHA-256 of SubjectPublicKeyInfo, hex

    [page]                             # alerts and findings on the page
    tokens = ["9b6d…"]                 # SHA-256 of each token or password, hex
    open = false                       # whether anybody may read them

    [limits]                           # monitor.limits.Limits

Variables: `TWINLOG_MONITOR_POLL_S=2`, `TWINLOG_MONITOR_LIMITS__REQUEST_S=3`.
"""

import os
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from log.errors import SettingsError
from monitor.limits import Limits
from monitor.tables import (
    ChannelTable,
    CopyTable,
    EgressTable,
    ForeignTable,
    GovernanceTable,
    NodeTable,
    PageTable,
    PeerTable,
    RulesTable,
    ServeTable,
    SourceTable,
    TokenTable,
    TrustListTable,
    WatchTable,
)

PREFIX = "TWINLOG_MONITOR_"
_NESTED = "__"
_PLAINLY = {"extra_forbidden": "no such setting", "missing": "has no default, and is not set"}  # by pydantic's word

Seconds = Annotated[float, Field(gt=0, le=3600)]

_LimitsTable = create_model(  # type: ignore[call-overload]
    "_LimitsTable",
    __config__=ConfigDict(extra="forbid"),
    **{field.name: (Annotated[field.type, Field(gt=0)], field.default) for field in fields(Limits)},
)

_Some = TypeVar("_Some", bound=BaseModel)


class Settings(BaseSettings):
    """The whole file. `load` reads it; nothing else makes one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=_NESTED, extra="forbid")

    name: str
    state: Path
    keys: Path
    near: list[str] = []
    poll_s: Seconds = 1
    far_poll_s: Seconds = 10
    authorities: Path | None = None  # file of CA certificates that count beside the public ones
    nodes: list[NodeTable] = []
    logs: list[ForeignTable] = []
    unread: list[str] = []
    publish: Path | None = None
    tokens: list[TokenTable] = []
    channels: list[ChannelTable] = []
    peers: list[PeerTable] = []
    sources: list[SourceTable] = []
    egresses: list[EgressTable] = []
    serve: ServeTable | None = None
    copies: CopyTable = CopyTable()
    governance: GovernanceTable | None = None
    trustlists: list[TrustListTable] = []
    rules: RulesTable = RulesTable()
    watch: list[WatchTable] = []
    page: PageTable = PageTable()
    limits: _LimitsTable = _LimitsTable()  # type: ignore[valid-type]

    _file: Path = PrivateAttr(default=Path())

    @property
    def file(self) -> Path:
        """Where the settings were read from."""
        return self._file

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

    @property
    def copy_folder(self) -> Path:
        """Where the copies of logs lie."""
        return self.copies.folder or self.state.with_name(self.state.name + ".copy")

    def bounds(self) -> Limits:
        """Return the limits."""
        return Limits(**self.limits.model_dump())  # type: ignore[attr-defined]


def load(path: Path) -> Settings:
    """Read the file and the variables, or raise `SettingsError`, which names the key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(f"cannot read the settings {path}: {e.strerror}") from e
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise SettingsError(f"cannot read the settings {path.name}: {e}") from e
    _check_variables()
    try:
        settings = Settings(**table)
    except ValidationError as e:
        problems = [
            f"{'.'.join(map(str, error['loc']))}: {_PLAINLY.get(error['type'], error['msg'])}"
            for error in e.errors(include_input=False)
        ]
        raise SettingsError(f"settings {path.name}: {'; '.join(problems)}") from e
    except UnreadableVariable as e:  # a table or list that is not JSON
        raise SettingsError(f"environment: {e}") from e
    if len({table.name for table in settings.channels}) != len(settings.channels):
        raise SettingsError(f"settings {path.name}: channels: a name stands there twice")
    if settings.governance is not None and settings.trustlists:
        raise SettingsError(f"settings {path.name}: trustlists: where a genesis is pinned, they come from governance")
    found = _absolute(settings, path.resolve().parent)
    found._file = path.resolve()
    return found


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
            "authorities": settings.authorities and folder / settings.authorities,
            "nodes": nodes,
            "logs": logs,
            "tokens": [table.model_copy(update={"file": folder / table.file}) for table in settings.tokens],
            "channels": [_absolute_files(table, folder) for table in settings.channels],
            "publish": settings.publish and folder / settings.publish,
            "trustlists": [_absolute_files(table, folder) for table in settings.trustlists],
            "rules": _absolute_files(settings.rules, folder),
            "copies": _absolute_files(settings.copies, folder),
            "serve": settings.serve and _absolute_files(settings.serve, folder),
        }
    )


def _absolute_files(table: _Some, folder: Path) -> _Some:
    files = {name: value for name, value in table if isinstance(value, Path)}
    return table.model_copy(update={name: folder / value for name, value in files.items()})
