"""Arguments and options that several commands take, and the connection that they mean."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer

from log.client.bearer import BearerTokens, read_token

Url = Annotated[str, typer.Argument(help="The log's URL, with its name: https://hk.example/x509")]
PolicyFile = Annotated[
    Path, typer.Option("--policy", "-p", help="A tlog-policy file: the logs and witnesses you rely on.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A file (0600) with a bearer token, where entries are for members.")
]
FamilyName = Annotated[
    Literal["x509", "events", "governance", "tlog-tiles"], typer.Option("--family", help="What the log holds.")
]


def connect(url: str = "", token_file: Path | None = None) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """Return connections for one command, with a bearer token for `url` and below where a file holds one."""
    auth = None if token_file is None else BearerTokens({url: read_token(token_file)})
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=64), auth=auth)
