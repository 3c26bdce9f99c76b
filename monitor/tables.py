"""The tables of the settings file; `monitor.settings` shows the whole of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from log.formats.family import TILES
from monitor.alert import Class

Address = Annotated[str, Field(pattern=r"^[^\s@<>,]+@[^\s@<>,]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WitnessTable(_Table):
    """The witness that a node is."""

    name: str
    vkey: str  # 0x04
    mldsa: str | None = None  # vkey of type 0x06, where the witness has one
    retiring: str | None = None  # its 0x04 key before `vkey`, under the same name
    until: AwareDatetime | None = None  # from then on `retiring` counts no more
    url: Url


class LogTable(_Table):
    """One log of a node."""

    name: str
    family: str
    origin: str
    url: Url
    vkeys: Annotated[list[str], Field(min_length=1)]
    policy: Path
    witnesses: list[str] | None = None  # other nodes to whose witness its heads are brought; None: all


class SourceTable(_Table):
    """Who else has the data of logs."""

    url: Url
    origin: str = ""  # the log that is mirrored there; "": another monitor's copies, each below its origin hash


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


class PeerTable(_Table):
    """Another monitor, with which we exchange what we saw."""

    name: str
    url: Url
    vkey: str  # the 0x04 key under which it cosigns


class EgressTable(_Table):
    """Another way out."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    proxy: Url | None = None
    local_address: str | None = None  # an address of this machine to ask from


class ServeTable(_Table):
    """Where we answer."""

    listen: str  # host:port
    certificate: Path | None = None  # PEM with its chain; needed where other machines reach us
    key: Path | None = None


class CopyTable(_Table):
    """Where the copies of logs lie, and who may read entries there."""

    folder: Path | None = None  # None: beside the state, its name with `.copy` behind it
    public: list[str] = []  # origins whose entries anybody may read
    tokens: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = []  # SHA-256 of bearer tokens for all entries


class _Channel(_Table):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    classes: list[Class] = list(Class)
    least: Literal["info", "warning", "error", "critical"] = "info"


class WebhookTable(_Channel):
    """An endpoint that takes alerts."""

    kind: Literal["webhook"]
    url: Url
    secret: Path | None = None  # file with what signs the body
    token: Path | None = None  # file with a bearer token


class MailTable(_Channel):
    """A relay that takes mails."""

    kind: Literal["smtp"]
    host: str
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    authorities: Path | None = None  # file of CA certificates; None: the machine's
    user: str = ""
    password: Path | None = None  # file
    sender: Address
    to: Annotated[list[Address], Field(min_length=1)]


class CommandTable(_Channel):
    """A program that is told."""

    kind: Literal["command"]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class LinesTable(_Channel):
    """Our own log lines."""

    kind: Literal["stdout"]


ChannelTable = Annotated[WebhookTable | MailTable | CommandTable | LinesTable, Field(discriminator="kind")]


class TrustListTable(_Table):
    """One side's signed trust list, where no genesis is pinned."""

    side: Literal["hk", "gd"]
    path: Path  # folder with trustlist.json and trustlist.note
    signers: Annotated[list[str], Field(min_length=1)]  # vkeys of type 0x01
    threshold: Annotated[int, Field(gt=0)] = 1


class RulesTable(_Table):
    """What rules rest on."""

    limits: Path | None = None  # None: those of the package


class WatchTable(_Table):
    """Who is to be told of which certificates."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    suffixes: list[Annotated[str, Field(min_length=1, max_length=253)]] = []  # of DNS names
    organisations: list[Annotated[str, Field(min_length=1, max_length=200)]] = []
    keys: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = []  # SHA-256 of SubjectPublicKeyInfo


class PageTable(_Table):
    """Who may read alerts and findings."""

    open: bool = False  # anybody
    tokens: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = []  # SHA-256 of a token or password each


class GovernanceTable(_Table):
    """The genesis on which governance rests."""

    genesis: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
