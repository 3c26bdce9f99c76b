"""Connections out to all peers, and the server for those who ask us."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx
from fastapi import FastAPI

from log.client.bearer import BearerTokens
from log.client.transport import Transport
from log.errors import SettingsError
from log.sockets import Tls
from monitor.egress import Way
from monitor.limits import Limits
from monitor.settings import Settings
from monitor.web.serve import bind, served

USUAL = Way("the usual one")


def http_client(
    limits: Limits, tokens: Mapping[str, str] | None = None, way: Way = USUAL, authorities: Path | None = None
) -> httpx.AsyncClient:
    """Return the client for all peers. It keeps nothing that a peer tells it to keep: a jar of cookies only grows.

    The route to a peer is what the settings say, not what the environment says of proxies. `tokens` are by URL.
    `authorities` is a file of CA certificates in PEM that count beside the public ones; `SettingsError` for
    another one.
    """
    tls = None if authorities is None else _trusting(authorities)
    transport: httpx.AsyncBaseTransport
    if way.proxy:
        bounds = httpx.Limits(max_connections=limits.connections)
        transport = httpx.AsyncHTTPTransport(
            verify=tls or True, limits=bounds, trust_env=False, proxy=way.proxy, local_address=way.local_address or None
        )
    else:
        transport = Transport(limits.connections, way.local_address, tls)
    return httpx.AsyncClient(
        auth=BearerTokens(tokens) if tokens else None,
        timeout=limits.request_s,
        transport=transport,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def _trusting(authorities: Path) -> ssl.SSLContext:
    tls = httpx.create_ssl_context(trust_env=False)
    tls.set_alpn_protocols(["http/1.1"])
    try:
        tls.load_verify_locations(authorities)
    except OSError as error:  # of which OpenSSL's are a kind
        raise SettingsError(f"authorities: {authorities} holds no certificates in PEM that can be read") from error
    return tls


@asynccontextmanager
async def serving(settings: Settings, app: FastAPI) -> AsyncIterator[str]:
    """Serve where the settings say so; yield the URL, "" where they do not."""
    table = settings.serve
    if table is None:
        yield ""
        return
    if (table.certificate is None) != (table.key is None):
        raise SettingsError("serve: certificate and key go together")
    tls = None if table.certificate is None or table.key is None else Tls(table.certificate, table.key)
    async with served(app, bind(table.listen, tls), tls, settings.bounds()) as url:
        yield url
