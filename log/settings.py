"""A node's settings: one TOML file, overridden by `TWINLOG_<KEY>` in the environment.

Pydantic stops here; `main` turns these into the frozen values that each layer declares for itself. Unknown
keys and unknown `TWINLOG_…` variables are errors, because a misspelt limit is a limit that is not there.
Relative paths are taken from the folder of the settings file. Every key is explained in log/README.md, and a
test compares the two.
"""

import os
import re
import tomllib
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from log.access import Bodies
from log.errors import SettingsError
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, GOVERNANCE, TILES
from log.formats.logged_event import MAX_EVENTS
from log.node import calendar

PREFIX = "TWINLOG_"
RESERVED = frozenset({"witness", "guard", "healthz", "metrics"})  # first path segments that no log may have
MAX_SERIES_NAME = 27  # characters of the name of a log with shards
MONITORS = "TWINLOG_MONITOR_"  # the monitor has settings of its own
SHARED_DATA = "TWINLOG_DATA"  # where the tests and the demonstration find shared data


def _milliseconds(value: object) -> object:
    """Read an ISO 8601 date or date-time, UTC unless it says otherwise, as POSIX milliseconds."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


Milliseconds = Annotated[int, BeforeValidator(_milliseconds)]
Positive = Annotated[int, Field(gt=0)]


class Table(BaseModel):
    """A TOML table: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError("a path of the node itself")
    return name


class LogTable(Table):
    """`[[logs]]`: one log of this node."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"), AfterValidator(_not_reserved)]
    family: Literal["x509", "events", "governance", "tlog-tiles"]
    origin: str
    policy: Path
    window: tuple[Milliseconds, Milliseconds] | None = None  # notAfter: from (inclusive), to (exclusive)
    precert_signing: bool = True  # take precertificates issued through a precertificate signing certificate
    open_add: bool = False  # an open test log, which takes any entry from anybody, is one only when this says so
    shards: Literal["yearly"] | None = None  # a log for each year of notAfter, <name>-<year>
    first_year: Annotated[int, Field(ge=1970, le=9000)] | None = None  # of the shards
    closed: bool = False  # takes no more entries, for ever
    bodies: Literal["public", "members", "home-only"] | None = None  # who reads the entries; see `shown_to`
    refuse: tuple[Standing, ...] = ()  # events whose certificate is known no better than this

    @model_validator(mode="after")
    def _refuses_events(self) -> Self:
        if self.refuse and self.family != EVENTS.name:
            raise ValueError("refuse: only a log of events knows how a certificate stands")
        return self

    @property
    def shown_to(self) -> Bodies:
        """To whom the entries are shown: by default to members.

        A governance log is what every verifier goes by, and an open test log takes what anybody writes: both are open.
        """
        if self.bodies is not None:
            return Bodies(self.bodies)
        return Bodies.PUBLIC if self.family in (GOVERNANCE.name, TILES.name) else Bodies.MEMBERS

    @model_validator(mode="after")
    def _open_on_purpose(self) -> Self:
        if self.open_add and self.family != TILES.name:
            raise ValueError(f"open_add: a log of the family {self.family} is never open to all")
        if self.family == TILES.name and not self.open_add:
            raise ValueError("a log of the family tlog-tiles takes any entry from anybody: it needs open_add = true")
        return self

    @model_validator(mode="after")
    def _sharded_or_not(self) -> Self:
        if (self.shards is None) != (self.first_year is None):
            raise ValueError("shards, first_year: both or neither")
        if self.shards is not None:
            if self.family != "x509" or self.window is not None:
                raise ValueError("shards: only of a log of certificates, and each has its own window")
            if len(self.name) > MAX_SERIES_NAME:
                raise ValueError(f"name: at most {MAX_SERIES_NAME} characters, for the years to come")
        return self

    def shard(self, year: int) -> "LogTable":
        """Return the table of one shard of this log, as it would stand there by itself."""
        return self.model_copy(
            update={
                "name": f"{self.name}-{year}",
                "origin": f"{self.origin}-{year}",
                "window": calendar.window(year),
                "shards": None,
                "first_year": None,
            }
        )


class WitnessedTable(Table):
    """`[[witnessed]]`: a foreign log whose heads this node's witness cosigns."""

    origin: str
    vkeys: tuple[str, ...] = Field(min_length=1)


class GuardTable(Table):
    """`[[guards]]`: a monitor that may say what this node signed before."""

    name: str
    cosigner: str  # vkey of type 0x04
    push: str  # vkey of type 0x01


class TrustListTable(Table):
    """`[[trustlists]]`: one side's signed trust list."""

    side: Literal["hk", "gd"]
    path: Path  # folder with trustlist.json and trustlist.note
    signers: tuple[str, ...] = Field(min_length=1)  # vkeys of type 0x01
    threshold: Positive = 1


class GovernanceTable(Table):
    """`[governance]`: the genesis from which everything is folded that both sides decide."""

    genesis: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the file: what is pinned


class TokenTable(Table):
    """`[[tokens]]`: a bearer token by which entries may be read."""

    name: str
    role: Literal["ca", "platform", "regulator", "relying-party", "monitor", "operator"]
    side: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,99}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    expires: Milliseconds


class LimitsTable(Table):
    """`[limits]`: every bound of a node, with its unit."""

    max_connections: Positive = 4096
    max_head_bytes: Positive = 16 << 10
    max_handshakes: Positive = 512
    max_pipelined: Positive = 8
    head_timeout_s: Positive = 10
    idle_timeout_s: Positive = 15
    send_timeout_s: Positive = 60
    max_unsent_bytes: Positive = 256 << 20
    max_body_bytes: Positive = 512 << 10
    max_events_bytes: Positive = 8 << 20
    max_chain: Positive = 10
    max_rate_per_s: Positive = 20_000
    max_client_rate_per_s: Positive = 10_000
    max_issuer_rate_per_s: Positive = 10_000
    max_member_rate_per_s: Positive = 10_000
    issuer_abreast: Positive = 32
    rate_burst_s: Positive = 1
    max_rate_sources: Positive = 8192
    checkers: Positive = 1
    max_checking: Positive = 4096
    max_held_bytes: Positive = 64 << 20
    body_timeout_s: Positive = 10
    max_created_skew_s: Positive = 300
    max_events: Annotated[int, Field(gt=0, le=MAX_EVENTS)] = MAX_EVENTS
    max_reads: Positive = 1024
    max_entry_reads: Positive = 128
    max_proofs: Positive = 256
    max_submissions: Positive = 4096
    max_event_requests: Positive = 16
    max_gossip: Positive = 64
    max_status: Positive = 32
    max_get_entries: Positive = 1000
    max_get_entries_bytes: Positive = 8 << 20
    pool_entries: Positive = 4096
    pool_bytes: Positive = 64 << 20
    batch_entries: Positive = 1024
    batch_bytes: Positive = 16 << 20
    linger_ms: Annotated[int, Field(ge=0)] = 10
    index_sync_ms: Positive = 1000
    gzip_cache_bytes: Positive = 32 << 20
    tile_cache_bytes: Positive = 32 << 20
    proof_cache_bytes: Positive = 64 << 20
    write_buffer_bytes: Positive = 16 << 20
    slow_request_ms: Positive = 1000
    slow_commit_ms: Positive = 500
    log_repeats_per_minute: Positive = 60
    disk_watermark_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    head_busy_ms: Positive = 5000
    parting_ms: Positive = 2000
    heard_ms: Positive = 60_000
    clock_error_ms: Positive = 60_000


def authority_of(url: str) -> str:
    """Return the authority of a URL as RFC 9421 section 2.2.3 has it: in lower case, without a default port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def _is_shard(text: str, series: str, table: LogTable) -> bool:
    """Say whether a name or origin is that of a shard of `table`, whose own one is `series`."""
    return table.shards is not None and re.fullmatch(re.escape(series) + "-[0-9]{4}", text) is not None


class NodeSettings(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    node: str
    listen: str = "127.0.0.1:8800"
    public_url: str = ""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False  # a proxy in front speaks TLS, and says who the client is
    keys_dir: Path = Path("keys")
    data_dir: Path = Path("data")
    heads_file: Path = Path("heads/heads.sqlite")
    heartbeat_s: Positive = 10
    stop_timeout_s: Positive = 10
    anchor_s: Positive = 600
    shard_ahead_days: Annotated[int, Field(gt=0, le=36_525)] = 92
    close_after_days: Annotated[int, Field(ge=0, le=36_525)] = 7
    log_format: Literal["auto", "json", "text"] = "auto"  # text on a terminal, else JSON
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    side: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.-]{0,99})?$")] = ""
    authority: Annotated[str, Field(pattern=r"^([a-z0-9.-]+|\[[0-9a-f:]+\])?(:[0-9]{1,5})?$")] = ""
    tokens: tuple[TokenTable, ...] = ()
    logs: tuple[LogTable, ...] = Field(min_length=1)
    witnessed: tuple[WitnessedTable, ...] = ()
    guards: tuple[GuardTable, ...]  # required, so that going without one is written down: guards = []
    trustlists: tuple[TrustListTable, ...] = ()
    governance: GovernanceTable | None = None
    limits: LimitsTable = LimitsTable()

    @field_validator("logs")
    @classmethod
    def _distinct(cls, logs: tuple[LogTable, ...]) -> tuple[LogTable, ...]:
        for table, other in combinations(logs, 2):
            for ours, theirs in ((table.name, other.name), (table.origin, other.origin)):
                if ours == theirs or _is_shard(ours, theirs, other) or _is_shard(theirs, ours, table):
                    raise ValueError(f"two logs have, or could have, one name or origin: {ours} and {theirs}")
        return logs

    @model_validator(mode="after")
    def _governed_or_not(self) -> Self:
        if self.governance is not None:
            if self.trustlists:
                raise ValueError("trustlists: where a genesis is pinned, trust lists come from governance")
            if sum(table.family == GOVERNANCE.name for table in self.logs) != 1:
                raise ValueError("governance: takes exactly one log of the family governance")
        return self

    @model_validator(mode="after")
    def _at_home(self) -> Self:
        if not self.side and any(table.shown_to is Bodies.HOME_ONLY for table in self.logs):
            raise ValueError('side: bodies = "home-only" needs to know whose home this is')
        return self

    @model_validator(mode="after")
    def _takes_events(self) -> Self:
        if any(table.family == EVENTS.name for table in self.logs):
            limits = self.limits
            if not self.side:
                raise ValueError("side: a log of events takes them from members of the node's own side")
            if min(limits.max_member_rate_per_s * limits.rate_burst_s, limits.max_rate_per_s) < limits.max_events:
                raise ValueError("max_events: a request of so many is over max_member_rate_per_s or max_rate_per_s")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file, whose content comes as arguments."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the settings file. `SettingsError` names the first key that is missing, unknown or wrong."""
        try:
            with path.open("rb") as file:
                table = tomllib.load(file)
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from error
        cls._check_environment()
        try:
            settings = cls(**table)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SettingsError(f"{path}: {where}: {first['msg']}") from error
        except UnreadableVariable as error:  # a table or list that is not JSON
            raise SettingsError(f"environment: {error}") from error
        return settings._anchored(path.resolve().parent)

    @classmethod
    def _check_environment(cls) -> None:
        known = {PREFIX + key.upper() for key in cls.model_fields}
        for name in os.environ:
            ours = name.upper().startswith(PREFIX) and not name.upper().startswith(MONITORS)
            if ours and name.upper() != SHARED_DATA and name.upper().partition("__")[0] not in known:
                raise SettingsError(f"{name}: no such setting")

    def _anchored(self, folder: Path) -> Self:
        return self.model_copy(
            update={
                "keys_dir": folder / self.keys_dir,
                "data_dir": folder / self.data_dir,
                "heads_file": folder / self.heads_file,
                "tls_certificate": self.tls_certificate and folder / self.tls_certificate,
                "tls_key": self.tls_key and folder / self.tls_key,
                "logs": tuple(entry.model_copy(update={"policy": folder / entry.policy}) for entry in self.logs),
                "trustlists": tuple(
                    entry.model_copy(update={"path": folder / entry.path}) for entry in self.trustlists
                ),
                "governance": self.governance
                and self.governance.model_copy(update={"genesis": folder / self.governance.genesis}),
            }
        )
