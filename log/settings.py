"""A node's settings: one TOML file, overridden by `TWINLOG_<KEY>` in the environment.

Pydantic stops here; `main` turns these into the frozen values that each layer declares for itself. Unknown
keys and unknown `TWINLOG_…` variables are errors, because a misspelt limit is a limit that is not there.
Relative paths are taken from the folder of the settings file. Every key is explained in log/README.md, and a
test compares the two.
"""

import os
import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from log.access import Bodies
from log.errors import SettingsError
from log.formats.family import EVENTS, GOVERNANCE
from log.tables import (
    GovernanceTable,
    GuardTable,
    LimitsTable,
    LogTable,
    Positive,
    TokenTable,
    TrustListTable,
    WitnessedTable,
)

PREFIX = "TWINLOG_"
MONITORS = "TWINLOG_MONITOR_"  # the monitor has settings of its own
_PLAINLY = {"extra_forbidden": "no such setting", "missing": "has no default, and is not set"}  # by pydantic's word
SHARED_DATA = "TWINLOG_DATA"  # where the tests and the demonstration find shared data


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

    @property
    def plain(self) -> list[LogTable]:
        """The tables that are a log each."""
        return [table for table in self.logs if table.shards is None]

    @property
    def series(self) -> list[LogTable]:
        """The tables that stand for a shard a year, not for a log."""
        return [table for table in self.logs if table.shards is not None]

    @field_validator("public_url")
    @classmethod
    def _reachable(cls, url: str) -> str:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is none
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("a URL begins with https:// or http://, and a host follows")
        return url

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
            raise SettingsError(f"{path}: {where}: {_PLAINLY.get(first['type'], first['msg'])}") from error
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
