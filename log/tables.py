"""The tables of a node's TOML file, and what each may say by itself; see `settings` for the whole of it."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from log.access import MEMBERS, Bodies, Role
from log.formats.event_codes import Standing
from log.formats.family import EVENTS, GOVERNANCE, TILES
from log.formats.logged_event import MAX_EVENTS
from log.node import calendar

RESERVED = frozenset({"witness", "guard", "healthz", "metrics"})  # first path segments that no log may have
MAX_SERIES_NAME = 27  # characters of the name of a log with shards


def _milliseconds(value: object) -> object:
    """Read a date or date-time, ISO 8601 or TOML's own, UTC unless it says otherwise, as POSIX milliseconds."""
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    else:
        return value
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
    def _window_has_an_inside(self) -> Self:
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError("window: no notAfter is from the first date on and before the second")
        return self

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


def _of_a_member(role: Role) -> Role:
    if role not in MEMBERS:
        raise ValueError(f"one of {', '.join(sorted(MEMBERS))}")
    return role


class TokenTable(Table):
    """`[[tokens]]`: a bearer token by which entries may be read."""

    name: str  # for whoever reads the settings
    role: Annotated[Role, AfterValidator(_of_a_member)]
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
    issuer_abreast: Positive = 8
    issuer_most_abreast: Positive = 32
    issuer_floor_per_s: Positive = 1000
    issuer_alone_ms: Positive = 10_000
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
